"""Sparsity of the inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.functional import InputGroups, Norm, check_norm, group_norms, group_penalty, size_weights
from lightning_dc.losses.term import LossTerm


class InputSparsity(LossTerm):
    r"""A norm of the input layer's weights, a group for each input, that lets few inputs carry the model.

    .. math:: \sum_g \omega_g \|W_g\|

    With ``l21`` and equal weights it is the sparsity term of DeepType (Chen et al. 2020,
    https://doi.org/10.1093/bioinformatics/btz769).

    Args:
        norm: ``l1``, ``ridge``, ``l21`` (group lasso) or ``l1inf``.
        groups: groups of the inputs.
        proximal: its gradient is left out, because a ``ProximalStep`` callback takes its part; its value is logged.

    Attributes:
        group_weights: omega, (G,), a buffer that is written in place; at first those of
            :func:`~lightning_dc.functional.size_weights`, for ``l21`` the square roots of the groups' sizes.

    Raises:
        InputError: an unknown norm.
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
        """Norm of the weights of each group, (G,): the importance of an input."""
        return group_norms(weight.detach(), self.norm, self.groups)

    def forward(self, input_weight: Tensor) -> Tensor:
        """Return the penalty, ().

        Args:
            input_weight: weights of the encoder's input layer, (H, F).
        """
        weight = input_weight.detach() if self.proximal else input_weight
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
        return group_penalty(weight, self.norm, self.groups, self.group_weights)
