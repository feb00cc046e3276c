"""Probability of each sample that it keeps its cluster."""

from __future__ import annotations

import math
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor

from lightning_dc.distributed import failing_together
from lightning_dc.errors import InputError
from lightning_dc.reports.baseline_labels import draw_rows
from lightning_dc.reports.calibration_result import CalibrationResult, calibrate
from lightning_dc.reports.closing_table import Rows
from lightning_dc.reports.contributor import Contributor
from lightning_dc.reports.figures import draw_reliability
from lightning_dc.reports.findings import tell_unstable
from lightning_dc.reports.refits import kept_in_refits
from lightning_dc.training import (
    ClusteringModule,
    FullAssignment,
    embed_rows,
    head_fit,
    record,
    record_figure,
    training_loader,
)

_MOST_PRODUCTS = 1 << 24  # of samples, their embeddings, and clusters
_MOST_INPUTS = 1 << 28  # in all samples
_LEAST_OF_A_CLUSTER = 20  # samples, on average


class Calibration(Contributor):
    """Report that estimates for each sample the probability that it keeps its cluster if the head is fitted again.

    At the end of a fit, the method fits its clustering head (k-means, a mixture, prototypes) to the final embeddings of
    random halves of the training set. The clusters of each refit are matched to those of the run. The probability is a
    function of the cluster and of the margin of a sample (:class:`~.stability_model.StabilityModel`), fitted to these
    refits, so that about nine of ten samples with a probability of 0.9 keep their cluster in a further refit. Soft and
    hard heads have it alike. *The encoder is not trained again*, so it cannot tell whether another run would find
    another embedding, and clusters around which the encoder has contracted its embedding look stable. Two runs are
    compared by :func:`~lightning_dc.reports.agreement_of_runs`.

    :class:`~lightning_dc.reports.RunSummary` writes the probability to the column ``head_stability`` of its file, the
    mean over refits and samples and the expected calibration error to its table and, below, a sentence if soft
    assignments are confident but not stable. They are in ``result``, too, which is None on other processes than the
    first one, and if the report has failed, which does not end the fit. Scalars are ``final/head_stability``,
    ``final/calibration_error`` and, for soft heads, ``final/calibration_error_of_confidence``; the figure
    ``clusters/reliability`` compares probabilities of the first half of the refits with the shares of samples that have
    kept their clusters in the others.

    There is no report if no callback of the method is a ``HeadFit``, or with fewer than two samples for each cluster.

    Args:
        enabled: whether the report is made.
        n_refits: number of refits.
        n_samples: largest number of random samples, of which each refit takes half. There are fewer if samples times
            width of the embedding times clusters would exceed 2^24, or samples times inputs 2^28, but 20 for each
            cluster. Clusters of fewer samples are less stable.

    Attributes:
        result: what the refits have told; None without a fit.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, enabled: bool = True, n_refits: int = 10, n_samples: int = 10_000) -> None:
        if n_refits < 2:
            raise InputError(f"calibration.n_refits={n_refits} must be at least 2")
        if n_samples < 1:
            raise InputError(f"calibration.n_samples={n_samples} must be at least 1")
        self.enabled = enabled
        self.n_refits = n_refits
        self.n_samples = n_samples
        self.result: CalibrationResult | None = None
        self._begin()

    def _begin(self) -> None:
        self.result = None
        self._failure: str | None = None
        self._is_made = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin()

    def applies(self, module: ClusteringModule) -> bool:
        if not self.enabled or head_fit(module) is None:
            return False
        return training_loader(module).n_samples >= 2 * module.model.head.n_clusters

    def columns(self, module: ClusteringModule) -> dict[str, Tensor]:
        """Make the refits, on the first process alone; their column is made with the rows of the final pass."""
        if not self._is_made:
            self._is_made = True
            with failing_together():
                if module.trainer.is_global_zero:
                    self._attempt(module)
        return {}

    def columns_of_rows(self, module: ClusteringModule, q: Tensor, z: Tensor) -> dict[str, Tensor]:
        if self.result is None:
            return {}
        margins = module.model.head.margin(z, q)
        return {"head_stability": self.result.model.probabilities(margins, q.argmax(1))}

    def contribution(self, module: ClusteringModule, final: FullAssignment) -> tuple[Rows, list[str]]:
        self.columns(module)
        if self._failure is not None:
            return [("head stability", self._failure)], []
        if self.result is None:
            return [], []
        note = tell_unstable(self.result.confidence, self.result.stability)
        return list(self.result.rows()), [] if note is None else [note]

    def collect(self, module: ClusteringModule, final: FullAssignment) -> None:
        self.columns(module)

    def write(self, module: ClusteringModule, final: FullAssignment, collected: None, folder: Path | None) -> None:
        """Log the scalars and the figure; rows and sentences are those of the run's summary."""
        if self.result is not None:
            record(module, {f"final/{name}": value for name, value in self.result.logged().items()})
            record_figure(module, "clusters/reliability", draw_reliability(self.result.curves()))

    def _attempt(self, module: ClusteringModule) -> None:
        """Make the refits; if they fail, note why, since the fit itself has succeeded."""
        try:
            self.result = self._calibrate(module)
        except Exception as error:
            self._failure = f"failed: {type(error).__name__}: {error}"[:100]

    def _calibrate(self, module: ClusteringModule) -> CalibrationResult:
        head, fit = module.model.head, head_fit(module)
        assert fit is not None
        z = embed_rows(module, training_loader(module), draw_rows(module, self._affordable(module)))
        with torch.no_grad():
            q = head(z)
            margins, labels = head.margin(z, q).cpu(), q.argmax(1).cpu()
        kept = kept_in_refits(fit, head, z, labels, n_refits=self.n_refits, seed=module.state.seed)
        return calibrate(margins, labels, kept, head.n_clusters, q.max(1).values.cpu() if head.is_soft else None)

    def _affordable(self, module: ClusteringModule) -> int:
        """Return the largest number of samples."""
        head = module.model.head
        by_work = _MOST_PRODUCTS // (head.latent_dim * head.n_clusters)
        by_memory = _MOST_INPUTS // math.prod(module.model.input_shape)
        return max(min(self.n_samples, by_work, by_memory), _LEAST_OF_A_CLUSTER * head.n_clusters)
