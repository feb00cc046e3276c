"""ACC, NMI and ARI from one contingency table."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_dc.distributed import max_
from lightning_dc.functional import agreement_scores, contingency_table


class ClusterAgreement(Metric):
    """Agreement of clusters with classes: clustering accuracy, NMI (arithmetic mean) and adjusted Rand index.

    The only state is the K x C table of counts, which is summed over processes. It grows with the largest number of a
    cluster or class that it receives. Scores are equal to those of scikit-learn, and the accuracy to the assignment of
    scipy, even if K and C differ.
    """

    full_state_update = False
    names: ClassVar = ("acc", "nmi", "ari")
    higher_is_better = True
    table: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("table", default=torch.zeros(0, 0, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, clusters: Tensor, classes: Tensor) -> None:
        """Add a batch to the table.

        Args:
            clusters: cluster of each sample, (B,), from 0.
            classes: class of each sample, (B,), from 0; samples with a negative, that is unknown, class are left out.
        """
        if len(clusters) == 0:
            return
        n_clusters = max(self.table.shape[0], int(clusters.max()) + 1)
        n_classes = max(self.table.shape[1], int(classes.max()) + 1)
        self._grow_table(n_clusters, n_classes)
        self.table += contingency_table(clusters, classes, *self.table.shape)

    @property
    def is_labelled(self) -> bool:
        """True if a sample with a known class has been counted on any process."""
        size = torch.tensor(float(self.table.sum()), device=self.device)
        return bool(max_(size) > 0)

    def compute(self) -> dict[str, float]:
        """Return ``acc``, ``nmi`` and ``ari``, which are NaN if no sample has a known class."""
        return agreement_scores(self.table.cpu().numpy())

    def _grow_table(self, n_clusters: int, n_classes: int) -> None:
        grown = self.table.new_zeros(n_clusters, n_classes)
        grown[: self.table.shape[0], : self.table.shape[1]] = self.table
        self.table = grown

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # Sums need tables of equal shape, but ranks may have received different clusters and classes.
        shape = max_(torch.tensor(self.table.shape, device=self.device))
        self._grow_table(int(shape[0]), int(shape[1]))
        super()._sync_dist(*args, **kwargs)
