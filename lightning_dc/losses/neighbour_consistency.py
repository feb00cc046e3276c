"""Consistency of the assignments of neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lightning_dc.functional import disagreement
from lightning_dc.losses.heads import mean_over_heads
from lightning_dc.losses.term import LossTerm


class NeighbourConsistency(LossTerm):
    r"""Negative log probability that a sample and one of its nearest neighbours are in the same cluster.

    .. math:: -\log \sum_k q_k(x) \, q_k(x')

    This is the first term of SCAN (Van Gansbeke et al. 2020, https://arxiv.org/abs/2005.12320, eq. 2). One cluster for
    all samples has no loss, so it needs :class:`~lightning_dc.losses.Balance` beside it.
    """

    def forward(self, log_q: Sequence[Tensor], log_q_neighbour: Sequence[Tensor]) -> Tensor:
        """Return the loss of each sample, the mean over the heads, (B,).

        Args:
            log_q: logarithms of soft assignments, (B, K) for each head.
            log_q_neighbour: those of a neighbour of each sample, likewise.
        """
        return mean_over_heads(disagreement, log_q, log_q_neighbour)
