"""K-means on the inputs beside the clusters of every run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from lightning_dc.distributed import collect_on_first, failing_together
from lightning_dc.encoders import Identity
from lightning_dc.errors import InputError
from lightning_dc.functional import adjusted_rand_index, contingency_table
from lightning_dc.heads import NearestCentroidHead, StudentTHead
from lightning_dc.reports.baseline_labels import baseline_labels, draw_rows, flat_inputs
from lightning_dc.reports.baseline_result import BaselineResult
from lightning_dc.reports.closing_table import Rows
from lightning_dc.reports.cluster_tendency import cluster_tendency
from lightning_dc.reports.contributor import Contributor
from lightning_dc.reports.fair_space import fair_space
from lightning_dc.reports.findings import (
    tell_better_baseline,
    tell_single_input,
    tell_tendency,
    tell_uneven_sizes,
)
from lightning_dc.reports.mean_silhouette import mean_silhouette
from lightning_dc.reports.single_input import single_input
from lightning_dc.training import ClusteringModule, FullAssignment, record

_MOST_SAMPLES = 2000  # that are compared; the time for silhouettes grows with the square of their number
_MOST_NUMBERS = 1 << 24  # in all inputs of the samples that are compared


class Baseline(Contributor):
    """Report that compares the clusters of a fit with those of k-means on its inputs, scaled as the network reads them.

    :class:`~lightning_dc.reports.RunSummary` writes the clusters of the baseline to the column ``cluster_baseline`` of
    its file, the comparison to its table and, below, sentences about the clusters. These are in ``result``, too, which
    is None on other processes than the first one, and if the baseline has failed, which does not end the fit. Scalars
    are ``final/baseline_agreement``, ``final/baseline_silhouette``, ``final/baseline_silhouette_of_run`` and, with
    labels, ``final/baseline_acc``, ``final/baseline_nmi``, ``final/baseline_ari``.

    Silhouettes and sentences are those of at most 2,000 random samples, and of fewer if they had more than 2^24 inputs
    in all. Silhouettes are taken in the inputs or, if these are more than 50, in their first 50 principal components.
    Sentences are for cases in which users without labels should look closer:

    - The clusters follow a single input (:func:`~lightning_dc.reports.single_input.single_input`), if a sample is a row
      of inputs and no image.
    - If they do not: there are no clusters (:func:`~lightning_dc.reports.cluster_tendency.cluster_tendency`).
    - Clusters of the run or the baseline differ in size by more than 10 to 1. This is not said of methods that do not
      favour clusters of similar size, as a Gaussian mixture.
    - The silhouette of the run's clusters is more than 0.05 below that of the baseline's. This is not said of
      supervised methods, whose clusters are to follow the targets.

    A run that is k-means on its inputs itself has no such report.

    Args:
        enabled: whether the report is made.
        n_init: restarts of k-means, of which the best one is kept.
        n_samples: largest number of random samples that choose the centroids, to which all samples are then assigned;
            there are fewer if samples times inputs times clusters would exceed 2^28.

    Attributes:
        result: the comparison of the latest fit; None without one.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, enabled: bool = True, n_init: int = 10, n_samples: int = 20_000) -> None:
        if n_init < 1:
            raise InputError(f"baseline.n_init={n_init} must be at least 1")
        if n_samples < 1:
            raise InputError(f"baseline.n_samples={n_samples} must be at least 1")
        self.enabled = enabled
        self.n_init = n_init
        self.n_samples = n_samples
        self.result: BaselineResult | None = None
        self._begin()

    def _begin(self) -> None:
        self.result = None
        self._labels: Tensor | None = None
        self._failure: str | None = None
        self._is_compared = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin()

    def applies(self, module: ClusteringModule) -> bool:
        return self.enabled and not _is_kmeans_on_inputs(module)

    def columns(self, module: ClusteringModule) -> dict[str, Tensor]:
        if self._labels is None and self._failure is None:
            self._labels = self._attempt(lambda: baseline_labels(module, self.n_init, self.n_samples))
            self._failure = _reason(collect_on_first(self._failure), self._failure)
        return {} if self._labels is None else {"cluster_baseline": self._labels}

    def contribution(self, module: ClusteringModule, final: FullAssignment) -> tuple[Rows, list[str]]:
        labels = self.columns(module).get("cluster_baseline")
        if labels is not None and not self._is_compared:
            self._is_compared = True
            with failing_together():
                if module.trainer.is_global_zero:
                    self.result = self._attempt(lambda: self._compare(module, final, labels))
        if self._failure is not None:
            return [("baseline", self._failure)], []
        return ([], []) if self.result is None else (self.result.rows(), self.result.notes)

    def collect(self, module: ClusteringModule, final: FullAssignment) -> None:
        self.contribution(module, final)

    def write(self, module: ClusteringModule, final: FullAssignment, collected: None, folder: Path | None) -> None:
        """Log the comparison; its rows and sentences are those of the run's summary."""
        if self.result is not None:
            record(module, {f"final/baseline_{name}": value for name, value in self.result.logged().items()})

    def _attempt(self, work: Callable[[], Any]) -> Any:
        """Return the result of some work; if it fails, note why, since the fit itself has succeeded."""
        try:
            with warnings.catch_warnings():  # such as those of constant inputs, which concern nobody but this report
                warnings.simplefilter("ignore")
                return work()
        except Exception as error:
            self._failure = f"failed: {type(error).__name__}: {error}"[:100]
            return None

    def _compare(self, module: ClusteringModule, final: FullAssignment, labels: Tensor) -> BaselineResult:
        n_clusters, seed = module.model.head.n_clusters, module.state.seed
        affordable = max(_MOST_NUMBERS // math.prod(module.model.input_shape), 10 * n_clusters)
        rows = draw_rows(module, min(_MOST_SAMPLES, affordable))
        x = flat_inputs(module, rows)
        points, space = fair_space(x, seed)
        own, baseline = (mean_silhouette(points, clusters[rows]) for clusters in (final.labels, labels))
        notes = [
            *_notes_on_inputs(module, x, final.labels[rows]),
            tell_uneven_sizes(
                final.labels,
                labels,
                n_clusters,
                has_target=module.state.target_distribution is not None,
                assumes_balance=_assumes_balance(module),
            ),
            None if module.model.task_head is not None else tell_better_baseline(own, baseline, space),
        ]
        return BaselineResult(
            labels=labels,
            agreement=adjusted_rand_index(contingency_table(final.labels, labels, n_clusters, n_clusters).numpy()),
            scores=final.scores(labels),
            silhouette=own,
            baseline_silhouette=baseline,
            space=space,
            notes=[note for note in notes if note is not None],
        )


def _reason(reasons: Sequence[str | None], own: str | None) -> str | None:
    """Return why the baseline has failed: on the first process, the reason of the process whose error was the first."""
    found = [reason for reason in reasons if reason is not None]
    return min(found, key=lambda reason: "another process has failed" in reason) if found else own


def _notes_on_inputs(module: ClusteringModule, x: Tensor, labels: Tensor) -> list[str | None]:
    """Return the sentence that the clusters follow a single input or, if they do not, that there are none."""
    n_clusters, groups = module.model.head.n_clusters, module.data_description.feature_groups
    if len(module.model.input_shape) == 1:
        can_standardise = bool(getattr(module.trainer.datamodule, "can_standardise", False))  # type: ignore[attr-defined]
        found = single_input(x, labels, n_clusters, groups)
        followed = tell_single_input(found, module.feature_names, can_standardise=can_standardise)
        if followed is not None:
            return [followed]
    return [tell_tendency(cluster_tendency(x, n_clusters, groups, module.state.seed), n_clusters)]


def _assumes_balance(module: ClusteringModule) -> bool:
    """Return whether the method favours clusters of similar size: k-means, or a target distribution."""
    has_head = isinstance(module.model.head, NearestCentroidHead | StudentTHead)
    return has_head or module.state.target_distribution is not None


def _is_kmeans_on_inputs(module: ClusteringModule) -> bool:
    """Return whether the method is k-means on its inputs."""
    model = module.model
    trains = any(phase.trainable and not phase.is_empty for phase in module.phases)
    return isinstance(model.network, Identity) and isinstance(model.head, NearestCentroidHead) and not trains
