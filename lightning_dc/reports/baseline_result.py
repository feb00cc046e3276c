"""What the comparison of a run with its baseline has found."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class BaselineResult:
    """Comparison of the clusters of a run with k-means on its inputs.

    Attributes:
        labels: cluster of each training sample by the baseline, (N,), int64.
        agreement: adjusted Rand index of the clusters of the run with those of the baseline, over all samples.
        scores: ACC, NMI and ARI of the baseline; empty without labels.
        silhouette: mean silhouette of the clusters of the run in the space of the comparison.
        baseline_silhouette: mean silhouette of the clusters of the baseline in the same space.
        space: name of this space.
        notes: sentences for the user, which the run prints below its table.
    """

    labels: Tensor
    agreement: float
    scores: dict[str, float]
    silhouette: float
    baseline_silhouette: float
    space: str
    notes: list[str] = field(default_factory=list)

    def logged(self) -> dict[str, float]:
        """Return the scalars of the comparison by name, without a prefix."""
        silhouettes = {"silhouette": self.baseline_silhouette, "silhouette_of_run": self.silhouette}
        return {"agreement": self.agreement, **silhouettes, **self.scores}

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of the closing table."""
        scores = [f"{name.upper()} {score:.4f}" for name, score in self.scores.items()]
        return [
            ("baseline", ", ".join(["k-means on the inputs", *scores])),
            ("agreement with baseline", f"adjusted Rand index {self.agreement:.4f}"),
            ("silhouette", f"{self.silhouette:.4f}, baseline {self.baseline_silhouette:.4f}, in {self.space}"),
        ]
