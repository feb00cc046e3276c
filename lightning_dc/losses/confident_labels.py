"""Self-labelling by confident samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dc.distributed import gather_batch, own_of_batch
from lightning_dc.errors import InputError
from lightning_dc.losses.heads import mean_over_heads
from lightning_dc.losses.term import LossTerm


class ConfidentLabels(LossTerm):
    """Cross-entropy of a second view of a sample with the cluster that the first view has, where that is clear.

    This is the self-labelling of SCAN (Van Gansbeke et al. 2020, https://arxiv.org/abs/2005.12320, section 2.3),
    but for the augmentation of the first view, which is as strong as that of the second one here. Only samples
    count whose largest assignment passes the threshold, and each cluster has the same weight, whatever its number
    of such samples. A batch without one has the loss 0. The batch is that of all processes.

    Args:
        threshold: least assignment of a sample that counts, in [0, 1).

    Raises:
        InputError: ``threshold`` is out of range.
    """

    def __init__(self, threshold: float = 0.99) -> None:
        super().__init__()
        if not 0.0 <= threshold < 1.0:
            raise InputError(f"threshold={threshold} of ConfidentLabels must lie in [0, 1)")
        self.threshold = threshold

    def forward(self, log_q: Sequence[Tensor], log_q_view: Sequence[Tensor]) -> Tensor:
        """Return the loss of each sample, the mean over the heads, (B,).

        Args:
            log_q: logarithms of soft assignments, (B, K) for each head.
            log_q_view: those of a second view of each sample, likewise.
        """
        return mean_over_heads(self._of_head, log_q, log_q_view)

    def _of_head(self, log_q: Tensor, log_q_view: Tensor) -> Tensor:
        largest, labels = gather_batch(log_q.detach()).max(1)
        counted = (largest.exp() > self.threshold).to(log_q.dtype)
        sizes = torch.zeros(log_q.shape[1], dtype=log_q.dtype, device=log_q.device).index_add(0, labels, counted)
        weights = counted / sizes[labels].clamp_min(1.0) / (sizes > 0).sum().clamp_min(1)
        own = own_of_batch(torch.stack([weights * len(weights), labels.to(log_q.dtype)], 1))
        return -own[:, 0] * log_q_view.gather(1, own[:, 1:].long())[:, 0]
