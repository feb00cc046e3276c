"""Reconstruction error."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.functional import mean_squared_error
from lightning_dc.losses.term import LossTerm


class Reconstruction(LossTerm):
    """Squared reconstruction error.

    Args:
        reduction: ``mean`` or ``sum`` over the features.

    Raises:
        InputError: the reduction is unknown.
    """

    def __init__(self, reduction: Literal["mean", "sum"] = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum"):
            raise InputError(f"reduction={reduction!r} of the reconstruction error is unknown; choose from mean, sum")
        self.reduction = reduction

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Return the error of each sample, (B,).

        Args:
            x: samples, (B, *input_shape).
            x_hat: their reconstructions, same shape.

        Raises:
            InputError: the reconstructions have another shape.
        """
        if x.shape != x_hat.shape:
            raise InputError(
                f"x_hat has shape {tuple(x_hat.shape)}, but x has shape {tuple(x.shape)}; return the shape of the "
                "samples from decode"
            )
        dtype = torch.promote_types(x.dtype, torch.float32)  # the loss is in float32 even with bfloat16 activations
        error = mean_squared_error(x.to(dtype), x_hat.to(dtype))
        return error if self.reduction == "mean" else error * math.prod(x.shape[1:])
