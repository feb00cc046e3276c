"""Penalty that makes the model use few inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.functional import InputGroups, Norm, check_norm, group_norms, group_penalty, size_weights
from lightning_dc.losses.term import LossTerm


class InputSparsity(LossTerm):
    r"""Weighted norms of the weights of the input layer, by groups of inputs; they make the model use few inputs.

    .. math:: \sum_g \omega_g \|W_g\|

    With ``l21`` and equal weights, this is the sparsity term of DeepType (Chen et al. 2020,
    https://doi.org/10.1093/bioinformatics/btz769).

    Args:
        norm: ``l1``, ``ridge``, ``l21`` (group lasso) or ``l1inf``.
        groups: groups of the inputs; in the simplest case each input is a group.
        proximal: True if the term has a value but no gradient, because a ``ProximalStep`` callback replaces it.

    Attributes:
        group_weights: omega, (G,), a buffer that is written in place. It starts with the values of
            :func:`~lightning_dc.functional.size_weights`; for ``l21``, these are the square roots of the groups' sizes.

    Raises:
        InputError: the norm is unknown.
    """

    group_weights: Tensor
    of_input: Tensor
    sizes: Tensor

    def __init__(self, norm: Norm, groups: InputGroups, proximal: bool) -> None:
        super().__init__()
        check_norm(norm)
        self.norm: Norm = norm
        self.proximal = proximal
        self.register_buffer("of_input", groups.of_input, persistent=False)
        self.register_buffer("sizes", groups.sizes, persistent=False)
        self.register_buffer("group_weights", size_weights(norm, groups))

    @property
    def groups(self) -> InputGroups:
        """Groups of the inputs, on the device of the module."""
        return InputGroups(self.of_input, self.sizes)

    def scores(self, weight: Tensor) -> Tensor:
        """Return the norm of the weights of each group, (G,), which is the importance of its inputs.

        Args:
            weight: weights of the encoder's input layer, (H, F).
        """
        return group_norms(weight.detach(), self.norm, self.groups)

    def forward(self, input_weight: Tensor) -> Tensor:
        """Return the penalty, ().

        Args:
            input_weight: weights of the encoder's input layer, (H, F).
        """
        weight = input_weight.detach() if self.proximal else input_weight
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
        return group_penalty(weight, self.norm, self.groups, self.group_weights)
