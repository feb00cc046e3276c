"""Consistency of the assignments of two views of a sample."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lightning_dc.functional import disagreement
from lightning_dc.losses.heads import mean_over_heads
from lightning_dc.losses.term import LossTerm


class ViewConsistency(LossTerm):
    r"""Negative log probability that two views of a sample, augmented independently, are in the same cluster.

    .. math:: -\log \sum_k q_k(x) \, q_k(x')

    It is the loss of :class:`~lightning_dc.losses.NeighbourConsistency` with an augmented copy as the neighbour. It
    needs an augmentation, and :class:`~lightning_dc.losses.Balance` beside it.
    """

    def forward(self, log_q: Sequence[Tensor], log_q_view: Sequence[Tensor]) -> Tensor:
        """Return the loss of each sample, the mean over the heads, (B,).

        Args:
            log_q: logarithms of soft assignments, (B, K) for each head.
            log_q_view: those of a second view of each sample, likewise.
        """
        return mean_over_heads(disagreement, log_q, log_q_view)
