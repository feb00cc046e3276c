"""Centroids at the beginning of a phase."""

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


class CentroidInitialization(Callback):
    """K-means over the embeddings of the whole training set sets the centroids when a phase begins that asks for it.

    As in DEC (https://arxiv.org/abs/1511.06335, section 3.1.3). The process of rank 0 runs k-means, the others take its
    centroids, which are written in place. It needs no state: the phase's first step is known from the checkpoint.

    Args:
        n_init: restarts of k-means; the paper has 20.
    """

    def __init__(self, n_init: int) -> None:
        if n_init < 1:
            raise InputError(f"n_init={n_init} must be at least 1; the DEC paper uses 20")
        self.n_init = n_init
        self._initialized_at: int | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        due = module.phase.initializes_centroids and module.progress.step == 0
        if due and self._initialized_at != module.global_step:
            self._initialize(module)
            self._initialized_at = module.global_step

    @torch.no_grad()
    def _initialize(self, module: ClusteringModule) -> None:
        z = embed_all(module, training_loader(module))
        centroids = module.head.get_parameter("centroids")
        if module.trainer.is_global_zero:
            generator = torch.Generator(device=z.device).manual_seed(mix_seed(module.seed, module.global_step))
            result = kmeans(z, module.head.n_clusters, n_init=self.n_init, generator=generator)
            centroids.copy_(result.centroids)  # in place: the optimizer holds this very tensor
        broadcast_(centroids.data)
