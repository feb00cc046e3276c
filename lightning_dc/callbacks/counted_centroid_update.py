"""Update of the centroids after each batch."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.batch import Batch, as_batch
from lightning_dc.errors import InputError
from lightning_dc.functional import nearest_centroids
from lightning_dc.heads import centroid_head
from lightning_dc.kmeans import counted_update_
from lightning_dc.training import ClusteringModule, clustering_module, embed_batch


class CountedCentroidUpdate(Callback):
    """Callback that moves each centroid towards its samples of a batch, by steps of one over its count of samples.

    This is the centroid update of DCN (Yang et al. 2017, https://arxiv.org/abs/1610.04794) and of mini-batch
    k-means (Sculley 2010). After each batch, its samples are embedded by the encoder that the batch has just trained,
    assigned to the nearest centroid, and averaged into it. The callback acts in phases that set centroids and do not
    train them by gradients. Counts start again when k-means over the whole set has replaced the centroids, and are kept
    in the checkpoint.

    Args:
        initial_count: number of samples that a centroid of k-means counts for; the DCN code uses 100.

    Raises:
        InputError: the count is below 1.
    """

    def __init__(self, initial_count: int = 100) -> None:
        if initial_count < 1:
            raise InputError(f"initial_count={initial_count} of a centroid must be at least 1; the DCN code uses 100")
        self.initial_count = initial_count
        self._counts: Tensor | None = None
        self._centroids: Tensor | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._counts = self._centroids = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        if module.phases_over or not module.phase.initializes_centroids or "head" in module.phase.trainable:
            return
        self._update(module, as_batch(batch))

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self._counts, "centroids": self._centroids}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._counts, self._centroids = state_dict["counts"], state_dict["centroids"]

    @torch.no_grad()
    def _update(self, module: ClusteringModule, batch: Batch) -> None:
        head = centroid_head(module.model.head)
        z = embed_batch(module, batch)
        centroids = head.centroids.data
        if self._counts is None or not self._are_unchanged(centroids):
            self._counts = torch.full((head.n_clusters,), float(self.initial_count), dtype=torch.float64)
        self._counts = self._counts.to(z.device)
        labels = nearest_centroids(z, centroids.to(z.dtype))
        counted_update_(centroids, self._counts, z, labels, distributed=True)
        self._centroids = centroids.clone()

    def _are_unchanged(self, centroids: Tensor) -> bool:
        """Return whether the centroids are those that the last update has left."""
        return self._centroids is not None and torch.equal(self._centroids.to(centroids.device), centroids)
