"""Silhouettes and separation of the clusters of a fit, before and after the method has shaped its embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from lightning_dc.randomness import mix_seed
from lightning_dc.reports.baseline_labels import flat_inputs
from lightning_dc.reports.cluster_tendency import cluster_tendency
from lightning_dc.reports.fair_space import fair_space
from lightning_dc.reports.mean_silhouette import mean_silhouette
from lightning_dc.reports.report import Report
from lightning_dc.reports.separation import separation
from lightning_dc.training import (
    ClusteringModule,
    FullAssignment,
    clustering_module,
    embed_batch,
    record,
    training_loader,
)

_MOST_SAMPLES = 2000  # the time for a silhouette grows with the square of their number


class Silhouettes(Report):
    """Report that logs the mean silhouette of the final clusters in two embeddings of the same training samples.

    ``final/silhouette_before`` is that in the embedding from which the clusters began: the autoencoder's, or of
    DeepType the one that the task has shaped; without an encoder, and where nothing has trained it before as in SCAN,
    it is that in the scaled inputs. It does not depend on
    the number of clusters, so it can be compared between numbers of clusters. ``final/silhouette_after`` is that in the
    trained embedding, which the loss of clustering has contracted around the clusters. It is high for any number of
    clusters, and cannot be compared between embeddings.

    ``final/separation`` tells whether there are gaps between the clusters (:func:`~.separation.separation`), in the
    embedding from which they began or, if it has more than 50 dimensions, in its first 50 principal components.

    ``final/clustered`` is 1 if k-means with as many clusters explains more of the inputs than of copies whose columns
    are shuffled (:func:`~.cluster_tendency.cluster_tendency`), and 0 if it does not; supervised methods, whose clusters
    follow their targets, have no such scalar.

    All are those of 2,000 random samples, or of all if there are fewer, and NaN with a single cluster. A resumed run
    logs only ``final/silhouette_after`` if its clusters began before.
    """

    def __init__(self) -> None:
        self._rows = torch.empty(0, dtype=torch.int64)
        self._before: Tensor | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        generator = torch.Generator().manual_seed(mix_seed(module.state.seed))
        self._rows = torch.randperm(training_loader(module).n_samples, generator=generator)[:_MOST_SAMPLES]
        self._before = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        if module.phase.has_clusters and module.state.assignments is None and trainer.is_global_zero:
            is_untrained = module.global_step == 0 and bool(module.phase.trainable)
            self._before = flat_inputs(module, self._rows) if is_untrained else self._embed(module)

    def write(self, module: ClusteringModule, final: FullAssignment, collected: Any, folder: Path | None) -> None:
        embeddings = {"before": self._before, "after": self._embed(module)}
        labels = final.labels[self._rows]
        found = {
            f"final/silhouette_{when}": mean_silhouette(z, labels) for when, z in embeddings.items() if z is not None
        }
        if self._before is not None:
            points, _ = fair_space(self._before, module.state.seed)
            found["final/separation"] = separation(points, labels)
        if module.model.task_head is None:
            x, groups = flat_inputs(module, self._rows), module.data_description.feature_groups
            tendency = cluster_tendency(x, module.model.head.n_clusters, groups, module.state.seed)
            found |= {} if tendency is None else {"final/clustered": float(tendency.is_clustered)}
        record(module, found)

    def _embed(self, module: ClusteringModule) -> Tensor:
        batch = module.trainer.strategy.batch_to_device(training_loader(module).take(self._rows), module.device)
        return embed_batch(module, module.trainer.precision_plugin.convert_input(batch).x).cpu()
