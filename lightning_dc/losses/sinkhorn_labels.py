"""Self-labelling by balanced pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dc.distributed import gather_batch, own_of_batch
from lightning_dc.errors import InputError
from lightning_dc.functional import balanced_assignment
from lightning_dc.losses.heads import mean_over_heads
from lightning_dc.losses.shares import check_number_of_shares, check_shares
from lightning_dc.losses.term import LossTerm


class SinkhornLabels(LossTerm):
    """Cross-entropy of a second view of a sample with balanced pseudo-labels of the first one.

    The pseudo-labels are the assignments of the batch, with given shares of the clusters, that are closest to those of
    the network: an optimal transport, found by the Sinkhorn iteration (Asano et al. 2020,
    https://arxiv.org/abs/1911.05371; Caron et al. 2020, https://arxiv.org/abs/2006.09882, eq. 3). The batch is that of
    all processes.

    Args:
        epsilon: strength of the entropy that smooths the labels; small values give hard labels.
        n_iterations: number of Sinkhorn iterations; with few of them, the shares are met only nearly.
        shares: share of each cluster, which sum to 1; None for equal shares. Heads with other numbers of clusters have
            equal shares.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, epsilon: float = 0.1, n_iterations: int = 100, shares: Sequence[float] | None = None) -> None:
        super().__init__()
        if epsilon <= 0:
            raise InputError(f"epsilon={epsilon} of SinkhornLabels must be positive")
        if n_iterations < 1:
            raise InputError(f"n_iterations={n_iterations} of SinkhornLabels must be at least 1")
        check_shares(shares, "SinkhornLabels")
        self.epsilon = epsilon
        self.n_iterations = n_iterations
        self.shares = shares

    def check_clusters(self, n_clusters: int) -> None:
        check_number_of_shares(self.shares, n_clusters, "SinkhornLabels")

    def forward(self, log_q: Sequence[Tensor], log_q_view: Sequence[Tensor]) -> Tensor:
        """Return the loss of each sample, the mean over the heads, (B,).

        Args:
            log_q: logarithms of soft assignments, (B, K) for each head.
            log_q_view: those of a second view of each sample, likewise.
        """
        return mean_over_heads(self._of_head, log_q, log_q_view)

    def _of_head(self, log_q: Tensor, log_q_view: Tensor) -> Tensor:
        is_given = self.shares is not None and len(self.shares) == log_q.shape[1]
        shares = torch.tensor(self.shares).to(log_q) if is_given else None
        labels = balanced_assignment(gather_batch(log_q.detach()), self.epsilon, self.n_iterations, shares)
        return -(own_of_batch(labels) * log_q_view).sum(1)
