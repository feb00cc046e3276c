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
        classes: class of each sample, (N,); negative values are unknown and left out.
        n_clusters: K.
        n_classes: C.

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
    """Share of samples in the best one-to-one matching of clusters to classes (Hungarian; eq. 10 of DEC).

    Args:
        table: counts, (K, C); K and C may differ.

    Returns:
        Accuracy in [0, 1]; NaN without samples.
    """
    from scipy.optimize import linear_sum_assignment

    total = table.sum()
    if total == 0:
        return float("nan")
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / total)


def normalized_mutual_information(table: Counts) -> float:
    """Mutual information over the arithmetic mean of the entropies (scikit-learn's default).

    Args:
        table: counts, (K, C).

    Returns:
        NMI in [0, 1]; NaN without samples; 1 when both partitions are trivial and equal.
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
    """Rand index corrected for chance (Hubert and Arabie 1985).

    Args:
        table: counts, (K, C).

    Returns:
        ARI in [-0.5, 1]; NaN without samples.
    """
    total = int(table.sum())
    if total == 0:
        return float("nan")
    pairs = _pairs(table)
    row_pairs, column_pairs = _pairs(table.sum(1)), _pairs(table.sum(0))
    all_pairs = total * (total - 1) / 2
    if row_pairs == column_pairs == pairs:  # identical partitions, the trivial ones included
        return 1.0
    expected = row_pairs * column_pairs / all_pairs
    return (pairs - expected) / ((row_pairs + column_pairs) / 2 - expected)


def agreement_scores(table: Counts) -> dict[str, float]:
    """ACC, NMI and ARI of a contingency table, (K, C).

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


def _pairs(counts: Counts) -> float:
    counts = counts.astype(np.float64)
    return float((counts * (counts - 1) / 2).sum())
