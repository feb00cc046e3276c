"""The clustering loss of DEC."""

from __future__ import annotations

from torch import Tensor

from lightning_dc.functional import kl_divergence
from lightning_dc.losses.term import LossTerm, StepQuantities


class KLTarget(LossTerm):
    """KL(P || Q) of the target distribution and the soft assignments (https://arxiv.org/abs/1511.06335, eq. 2)."""

    def forward(self, step: StepQuantities) -> Tensor:
        return kl_divergence(step.p, step.q)
