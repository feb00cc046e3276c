"""Entropy of the assignments of each sample."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lightning_dc.losses.heads import mean_over_heads
from lightning_dc.losses.term import LossTerm


class ConditionalEntropy(LossTerm):
    """Entropy of the soft assignments of a sample, in nats: 0 if it is certain, log K if all clusters are as likely.

    With :class:`~lightning_dc.losses.Balance` of weight mu it is, but for a constant, the regularised mutual
    information of samples and clusters of RIM and IMSAT (Hu et al. 2017, https://arxiv.org/abs/1702.08720), with
    the sign changed.
    """

    def forward(self, log_q: Sequence[Tensor]) -> Tensor:
        """Return the entropy of each sample, the mean over the heads, (B,).

        Args:
            log_q: logarithms of soft assignments, (B, K) for each head.
        """
        return mean_over_heads(lambda table: -(table.exp() * table).sum(1), log_q)
