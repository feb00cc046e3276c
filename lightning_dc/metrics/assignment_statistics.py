"""Statistics of soft assignments that need no labels."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_dc.functional import assignment_entropy, size_statistics


class AssignmentStatistics(Metric):
    """Mean entropy of soft assignments in nats, smallest and largest share of a cluster, and number of empty clusters.

    Args:
        n_clusters: number of clusters K.
    """

    full_state_update = False
    names: ClassVar = ("entropy", "smallest", "largest", "empty")
    entropy: Tensor
    sizes: Tensor

    def __init__(self, n_clusters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("entropy", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("sizes", default=torch.zeros(n_clusters, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, q: Tensor) -> None:
        """Add a batch of soft assignments, (B, K), whose rows sum to 1."""
        if len(q):
            self.entropy += assignment_entropy(q) * len(q)
            self.sizes += torch.bincount(q.argmax(1), minlength=len(self.sizes))

    def compute(self) -> dict[str, float]:
        """Return ``entropy`` in nats, ``smallest`` and ``largest`` share, and the number of ``empty`` clusters."""
        return {"entropy": float(self.entropy / self.sizes.sum().clamp_min(1)), **size_statistics(self.sizes)}
