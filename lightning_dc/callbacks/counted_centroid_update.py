"""Update of the centroids after each batch."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.batch import as_batch
from lightning_dc.errors import InputError
from lightning_dc.functional import nearest_centroids
from lightning_dc.heads import centroid_head
from lightning_dc.kmeans import counted_update_
from lightning_dc.training import ClusteringModule, clustering_module, embed_batch


class CountedCentroidUpdate(Callback):
    """Callback that moves each centroid towards its samples of a batch, by steps of one over its count of samples.

    This is the centroid update of DCN (Yang et al. 2017, https://arxiv.org/abs/1610.04794) and of mini-batch
    k-means (Sculley 2010). After each optimizer step, its samples are embedded by the encoder that the step has just
    trained, assigned to the nearest centroid, and averaged into it. The callback acts in phases that set centroids and
    do not train them by gradients. Counts start again when k-means over the whole set, or the repair of an empty
    cluster, has moved centroids (``RunState.centroids_set_at``), and are kept in the checkpoint.

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
        self._set_at = -1  # step at which the centroids were set that the counts belong to
        self._seen = 0  # global step after the last batch
        self._batches: list[Tensor] = []  # whose gradients the next optimizer step adds up

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._counts, self._set_at, self._batches = None, -1, []
        self._seen = clustering_module(pl_module).global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        has_stepped, self._seen = module.global_step != self._seen, module.global_step
        if module.phases_over or not module.phase.initializes_centroids or "head" in module.phase.trainable:
            return
        self._batches.append(as_batch(batch).x)
        if has_stepped:
            self._update(module, torch.cat(self._batches) if len(self._batches) > 1 else self._batches[0])
            self._batches = []

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self._counts, "set_at": self._set_at, "seen": self._seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._counts, self._set_at, self._seen = (state_dict[name] for name in ("counts", "set_at", "seen"))

    @torch.no_grad()
    def _update(self, module: ClusteringModule, x: Tensor) -> None:
        head = centroid_head(module.model.head)
        z = embed_batch(module, x)
        if self._counts is None or self._set_at != module.state.centroids_set_at:
            self._counts = torch.full((head.n_clusters,), float(self.initial_count), dtype=torch.float64)
            self._set_at = module.state.centroids_set_at
        self._counts = self._counts.to(z.device)
        labels = nearest_centroids(z, head.centroids.to(z.dtype))
        counted_update_(head.centroids.data, self._counts, z, labels, distributed=True)
