"""Sparsity of groups of units of the embedding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.losses.term import LossTerm


class GroupSparsity(LossTerm):
    r"""Sum of the norms of groups of units of the embedding, each times the root of its size.

    .. math:: \sum_g \sqrt{n_g} \, \|z_i^{(g)}\|_2

    With one group of consecutive units for each cluster, it lets a sample use the units of few clusters (Huang et al.
    2014, https://doi.org/10.1109/ICPR.2014.272).

    Args:
        group_size: number of consecutive units in a group; the last group holds what is left.

    Raises:
        InputError: ``group_size`` is below 1.
    """

    def __init__(self, group_size: int = 2) -> None:
        super().__init__()
        if group_size < 1:
            raise InputError(f"group_size={group_size} of GroupSparsity must be at least 1")
        self.group_size = group_size

    def forward(self, z: Tensor) -> Tensor:
        """Return the loss of each sample, (B,).

        Args:
            z: embeddings, (B, D).
        """
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        groups = [z[:, start : start + self.group_size] for start in range(0, z.shape[1], self.group_size)]
        smallest = torch.finfo(z.dtype).tiny  # the root has no gradient at 0
        norms = [math.sqrt(group.shape[1]) * (group.square().sum(1) + smallest).sqrt() for group in groups]
        return torch.stack(norms).sum(0)
