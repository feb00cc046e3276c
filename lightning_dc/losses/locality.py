"""Closeness of the embeddings of neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.losses.term import LossTerm


class Locality(LossTerm):
    r"""Squared distance between the embeddings of a sample and of one of its nearest neighbours, times the similarity.

    .. math:: S_{ij} \|z_i - z_j\|^2, \quad S_{ij} = \exp(-\|x_i - x_j\|^2 / t)

    This is the locality-preserving term of DEN (Huang et al. 2014, https://doi.org/10.1109/ICPR.2014.272) if all
    neighbours are those of the inputs (``neighbours.space``). Its expectation over random neighbours is the sum over
    all of them by k. Alone it shrinks all embeddings to a point, so it needs a reconstruction beside it.
    """

    def forward(self, z: Tensor, z_neighbour: Tensor, similarity: Tensor) -> Tensor:
        """Return the loss of each sample, (B,).

        Args:
            z: embeddings, (B, D).
            z_neighbour: embedding of a neighbour of each sample, (B, D).
            similarity: similarity of each sample and its neighbour, (B,).
        """
        dtype = torch.promote_types(z.dtype, torch.float32)
        return similarity.to(dtype) * (z.to(dtype) - z_neighbour.to(dtype)).square().sum(1)
