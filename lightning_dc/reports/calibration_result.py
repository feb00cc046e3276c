"""What refits of the clustering head have told about the stability of its clusters."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lightning_dc.reports.reliability import ReliabilityBin, calibration_error, reliability_bins
from lightning_dc.reports.stability_model import StabilityModel, fit_stability


@dataclass(frozen=True)
class CalibrationResult:
    """Stability of the clusters of a run in refits of its head.

    Attributes:
        model: probability of each sample that it keeps its cluster, fitted to all refits.
        n_refits: number of refits.
        n_samples: number of samples that were drawn; each refit has seen half of them.
        stability: mean share of samples that keep their cluster.
        confidence: mean confidence of these samples; None for a hard head.
        reliability: the model of the first half of the refits, judged by the others.
        reliability_of_confidence: the confidence, judged by the same refits; None for a hard head.
    """

    model: StabilityModel
    n_refits: int
    n_samples: int
    stability: float
    confidence: float | None
    reliability: list[ReliabilityBin]
    reliability_of_confidence: list[ReliabilityBin] | None

    def logged(self) -> dict[str, float]:
        """Return the scalars by name, without a prefix."""
        scalars = {"head_stability": self.stability, "calibration_error": calibration_error(self.reliability)}
        if self.reliability_of_confidence is not None:
            scalars["calibration_error_of_confidence"] = calibration_error(self.reliability_of_confidence)
        return scalars

    def curves(self) -> dict[str, list[ReliabilityBin]]:
        """Return the curves of the reliability figure by the names of their columns."""
        curves = {"head_stability": self.reliability}
        if self.reliability_of_confidence is not None:
            curves["confidence"] = self.reliability_of_confidence
        return curves

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of the closing table."""
        errors = f"{calibration_error(self.reliability):.4f}"
        if self.reliability_of_confidence is not None:
            errors += f", of the confidence {calibration_error(self.reliability_of_confidence):.4f}"
        drawn = f"{self.n_refits} refits of the head on halves of {self.n_samples:,} samples"
        return [("head stability", f"{self.stability:.4f} in {drawn}"), ("calibration error", errors)]


def calibrate(
    margins: Tensor, labels: Tensor, kept: Tensor, n_clusters: int, confidence: Tensor | None
) -> CalibrationResult:
    """Fit the probability of keeping a cluster to refits, and judge it by refits that it has not seen.

    Args:
        margins: margin of each sample, (n,).
        labels: its cluster, (n,).
        kept: whether it keeps its cluster in each refit, (R, n) with R at least 2.
        n_clusters: number of clusters K.
        confidence: its largest soft assignment, (n,); None for a hard head.
    """
    seen, unseen = kept[: len(kept) // 2].double().mean(0), kept[len(kept) // 2 :].double().mean(0)
    half = fit_stability(margins, labels, seen, n_clusters)
    return CalibrationResult(
        model=fit_stability(margins, labels, kept.double().mean(0), n_clusters),
        n_refits=len(kept),
        n_samples=kept.shape[1],
        stability=float(kept.double().mean()),
        confidence=None if confidence is None else float(confidence.double().mean()),
        reliability=reliability_bins(half.probabilities(margins, labels), unseen),
        reliability_of_confidence=None if confidence is None else reliability_bins(confidence, unseen),
    )
