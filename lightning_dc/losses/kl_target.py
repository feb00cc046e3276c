"""The clustering loss of DEC."""

from __future__ import annotations

from torch import Tensor

from lightning_dc.functional import kl_divergence
from lightning_dc.losses.term import LossTerm


class KLTarget(LossTerm):
    """Divergence KL(P || Q) of target distribution and soft assignments (https://arxiv.org/abs/1511.06335, eq. 2)."""

    def forward(self, p: Tensor, q: Tensor) -> Tensor:
        """Return the divergence of each sample, (B,).

        Args:
            p: target distribution, (B, K).
            q: soft assignments, (B, K).
        """
        return kl_divergence(p, q)
