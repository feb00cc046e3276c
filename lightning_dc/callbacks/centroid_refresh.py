"""Centroids from k-means."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from lightning_dc.callbacks.access import clustering_module
from lightning_dc.distributed import broadcast_
from lightning_dc.errors import InputError
from lightning_dc.kmeans import kmeans
from lightning_dc.randomness import mix_seed
from lightning_dc.training import ClusteringModule, embed_all, training_loader


class CentroidRefresh(Callback):
    """K-means over the embeddings of the whole training set sets the centroids.

    It runs with ``n_init`` restarts when a phase begins that asks for centroids, as in DEC
    (https://arxiv.org/abs/1511.06335, section 3.1.3), and then, if an interval is given, every n steps from the
    centroids as they are, so that clusters keep their numbers. All processes run it on the same embeddings and take the
    result of rank 0; centroids are written in place. The step of the last refresh is kept in the checkpoint.

    Args:
        n_init: restarts of k-means at the beginning of a phase; the paper has 20.
        every_n_steps: optimizer steps between two refreshes; None leaves the centroids to the optimizer.

    Raises:
        InputError: an argument out of range.
    """

    def __init__(self, n_init: int, every_n_steps: int | None = None) -> None:
        if n_init < 1:
            raise InputError(f"n_init={n_init} must be at least 1; the DEC paper uses 20")
        if every_n_steps is not None and every_n_steps < 1:
            raise InputError(f"every_n_steps={every_n_steps} between two refreshes of centroids must be at least 1")
        self.n_init = n_init
        self.every_n_steps = every_n_steps
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
        if self.every_n_steps is None or module.phases_over or not module.phase.initializes_centroids:
            return
        step, n_steps = module.progress
        due = 0 < step < n_steps and step % self.every_n_steps == 0
        if due and self._refreshed_at != module.global_step:
            self._refresh(module, from_current=True)

    @torch.no_grad()
    def _refresh(self, module: ClusteringModule, *, from_current: bool) -> None:
        z = embed_all(module, training_loader(module))
        centroids = module.head.get_parameter("centroids")
        result = kmeans(
            z,
            module.head.n_clusters,
            n_init=self.n_init,
            init=centroids if from_current else "k-means++",
            generator=torch.Generator(device=z.device).manual_seed(mix_seed(module.seed, module.global_step)),
        )
        centroids.copy_(result.centroids)  # in place: the optimizer holds this very tensor
        broadcast_(centroids.data)  # the same on unlike processors, too
        self._refreshed_at = module.global_step
