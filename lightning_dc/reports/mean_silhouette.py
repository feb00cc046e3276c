"""Mean silhouette of clusters."""

from __future__ import annotations

from torch import Tensor


def mean_silhouette(z: Tensor, labels: Tensor) -> float:
    """Return the mean silhouette (Rousseeuw 1987); NaN where it has none, with a single cluster or one a sample.

    Args:
        z: points, (N, D).
        labels: cluster of each point, (N,).
    """
    from sklearn.metrics import silhouette_score

    if not 1 < len(set(labels.tolist())) < len(labels):
        return float("nan")
    return float(silhouette_score(z.numpy(), labels.numpy()))
