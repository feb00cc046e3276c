"""Centroids from k-means."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from lightning_dc.callbacks.access import clustering_module
from lightning_dc.callbacks.interval import Interval
from lightning_dc.distributed import broadcast_, owned_rows, sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import contingency_table, match_clusters
from lightning_dc.kmeans import kmeans
from lightning_dc.randomness import mix_seed
from lightning_dc.training import ClusteringModule, centroid_head, embed_owned, training_loader


class CentroidRefresh(Callback):
    """K-means over the embeddings of the whole training set sets the centroids.

    It runs with ``n_init`` restarts when a phase begins that asks for centroids, as in DEC
    (https://arxiv.org/abs/1511.06335, section 3.1.3), and then, if an interval is given, every n steps or epochs from
    the centroids as they are. Clusters keep their numbers: they are matched to the latest assignments of the training
    set. Each process has its own rows of the data; centroids are written in place. The step of the last refresh is kept
    in the checkpoint.

    Args:
        n_init: restarts of k-means at the beginning of a phase; the paper has 20.
        every_n_steps: optimizer steps between two refreshes; None leaves the centroids to the optimizer.
        every_n_epochs: the same in epochs.

    Raises:
        InputError: an argument out of range.
    """

    def __init__(self, n_init: int, every_n_steps: int | None = None, every_n_epochs: int | None = None) -> None:
        if n_init < 1:
            raise InputError(f"n_init={n_init} must be at least 1; the DEC paper uses 20")
        self.n_init = n_init
        self.interval = Interval(every_n_steps, every_n_epochs)
        self._refreshed_at: int | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._refreshed_at = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._refresh_if_due(clustering_module(pl_module))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        due = module.phase.initializes_centroids and module.progress.step == 0
        if due and self._refreshed_at != module.global_step:
            self._refresh(module, from_current=False)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._refresh_if_due(clustering_module(pl_module))

    def state_dict(self) -> dict[str, Any]:
        return {"refreshed_at": self._refreshed_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._refreshed_at = state_dict["refreshed_at"]

    def _refresh_if_due(self, module: ClusteringModule) -> None:
        if module.phases_over or not module.phase.initializes_centroids:
            return
        step, n_steps = module.progress
        if 0 < step < n_steps and self.interval.is_due(module, step) and self._refreshed_at != module.global_step:
            self._refresh(module, from_current=True)

    @torch.no_grad()
    def _refresh(self, module: ClusteringModule, *, from_current: bool) -> None:
        loader, head = training_loader(module), centroid_head(module)
        z = embed_owned(module, loader)
        result = kmeans(
            z,
            head.n_clusters,
            n_total=loader.n_samples,
            n_init=self.n_init,
            init=head.centroids if from_current else "k-means++",
            generator=torch.Generator().manual_seed(mix_seed(module.seed, module.global_step)),
        )
        centroids = result.centroids
        if module.assignments is not None:
            before = module.assignments.labels[owned_rows(loader.n_samples).to(z.device)]
            table = sum_(contingency_table(before, result.labels, head.n_clusters, head.n_clusters))
            centroids = centroids[match_clusters(table)]
        head.centroids.copy_(centroids)  # in place: the optimizer holds this very tensor
        broadcast_(head.centroids.data)  # the same on unlike processors, too
        self._refreshed_at = module.global_step
