"""Reconstruction error."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.functional import mean_squared_error
from lightning_dc.losses.term import LossTerm, StepQuantities


class Reconstruction(LossTerm):
    """Squared reconstruction error, averaged over features."""

    def forward(self, step: StepQuantities) -> Tensor:
        x, x_hat = step.x, step.x_hat
        dtype = torch.promote_types(x.dtype, torch.float32)  # bf16 activations, fp32 loss
        return mean_squared_error(x.to(dtype), x_hat.to(dtype))
