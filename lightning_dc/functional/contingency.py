"""Agreement of a clustering with classes, from their contingency table."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Counts = NDArray[np.int64]


def contingency_table(clusters: Tensor, classes: Tensor, n_clusters: int, n_classes: int) -> Tensor:
    """Count samples by cluster and class.

    Args:
        clusters: cluster of each sample, (N,), in 0 .. n_clusters - 1.
        classes: class of each sample, (N,); samples with a negative, that is unknown, class are left out.
        n_clusters: number of clusters K.
        n_classes: number of classes C.

    Returns:
        Counts, (K, C), int64.

    Example:
        >>> contingency_table(torch.tensor([0, 0, 1]), torch.tensor([1, -1, 0]), 2, 2)
        tensor([[0, 1],
                [1, 0]])
    """
    known = classes >= 0
    cells = clusters[known].to(torch.int64) * n_classes + classes[known].to(torch.int64)
    return torch.bincount(cells, minlength=n_clusters * n_classes).view(n_clusters, n_classes)


def clustering_accuracy(table: Counts) -> float:
    """Return the clustering accuracy (eq. 10 of DEC).

    It is the share of samples in the best one-to-one matching of clusters to classes, found by the Hungarian algorithm.

    Args:
        table: counts, (K, C); K and C may differ.

    Returns:
        Accuracy in [0, 1]; NaN if there are no samples.
    """
    from scipy.optimize import linear_sum_assignment

    total = table.sum()
    if total == 0:
        return float("nan")
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / total)


def normalized_mutual_information(table: Counts) -> float:
    """Return the mutual information divided by the arithmetic mean of the entropies, as scikit-learn does by default.

    Args:
        table: counts, (K, C).

    Returns:
        NMI in [0, 1]; NaN if there are no samples; 1 if both partitions are trivial and equal.
    """
    total = table.sum()
    if total == 0:
        return float("nan")
    joint = table / total
    rows, columns = joint.sum(1), joint.sum(0)
    entropies = _entropy(rows) + _entropy(columns)
    if entropies == 0.0:
        return 1.0
    filled = joint > 0
    outer = np.outer(rows, columns)
    mutual = float((joint[filled] * np.log(joint[filled] / outer[filled])).sum())
    return min(1.0, max(0.0, 2.0 * mutual / entropies))


def adjusted_rand_index(table: Counts) -> float:
    """Return the Rand index, corrected for chance (Hubert and Arabie 1985).

    Args:
        table: counts, (K, C).

    Returns:
        ARI in [-0.5, 1]; NaN if there are no samples.
    """
    total = int(table.sum())
    if total == 0:
        return float("nan")
    pairs = _n_pairs(table)
    row_pairs, column_pairs = _n_pairs(table.sum(1)), _n_pairs(table.sum(0))
    all_pairs = total * (total - 1) / 2
    if row_pairs == column_pairs == pairs:  # identical partitions, including trivial ones
        return 1.0
    expected = row_pairs * column_pairs / all_pairs
    return (pairs - expected) / ((row_pairs + column_pairs) / 2 - expected)


def agreement_scores(table: Counts) -> dict[str, float]:
    """Return ACC, NMI and ARI of a contingency table, (K, C).

    Example:
        >>> agreement_scores(np.array([[0, 5], [5, 0]]))
        {'acc': 1.0, 'nmi': 1.0, 'ari': 1.0}
    """
    return {
        "acc": clustering_accuracy(table),
        "nmi": normalized_mutual_information(table),
        "ari": adjusted_rand_index(table),
    }


def _entropy(probabilities: NDArray[np.float64]) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def _n_pairs(counts: Counts) -> float:
    counts = counts.astype(np.float64)
    return float((counts * (counts - 1) / 2).sum())
