"""Tests of ClusterAgreement against scikit-learn, over batches and processes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from lightning_dc.metrics import ClusterAgreement


def labels() -> tuple[np.ndarray, np.ndarray]:
    """Draw six clusters and four classes, sorted so that the first samples contain few of the clusters."""
    random = np.random.default_rng(3)
    clusters = np.sort(random.integers(0, 6, 90))
    classes = np.where(random.random(90) < 0.7, clusters % 4, random.integers(0, 4, 90))
    return clusters, classes


def expected(clusters: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    matrix = contingency_matrix(clusters, classes)
    matched = matrix[linear_sum_assignment(-matrix)].sum()
    return {
        "acc": matched / matrix.sum(),
        "nmi": normalized_mutual_info_score(classes, clusters),
        "ari": adjusted_rand_score(classes, clusters),
    }


def updated(metric: ClusterAgreement, clusters: np.ndarray, classes: np.ndarray, batch_size: int) -> ClusterAgreement:
    for start in range(0, len(clusters), batch_size):
        rows = slice(start, start + batch_size)
        metric.update(torch.from_numpy(clusters[rows]), torch.from_numpy(classes[rows]))
    return metric


@pytest.mark.parametrize("batch_size", [7, 90])
def test_scores_over_batches_equal_sklearns(batch_size: int) -> None:
    clusters, classes = labels()
    metric = updated(ClusterAgreement(), clusters, classes, batch_size)
    assert metric.compute() == pytest.approx(expected(clusters, classes), abs=1e-12)


def test_table_grows_with_the_clusters_and_classes_that_it_meets() -> None:
    metric = ClusterAgreement()
    metric.update(torch.tensor([0, 0]), torch.tensor([1, 0]))
    assert metric.table.tolist() == [[1, 1]]
    metric.update(torch.tensor([2]), torch.tensor([0]))
    assert metric.table.tolist() == [[1, 1], [0, 0], [1, 0]]
    metric.update(torch.tensor([0]), torch.tensor([3]))
    assert metric.table.tolist() == [[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    metric.update(torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64))
    assert metric.table.tolist() == [[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_samples_of_unknown_class_do_not_count() -> None:
    clusters, classes = labels()
    unknown = np.arange(len(classes)) % 3 == 0
    metric = updated(ClusterAgreement(), clusters, np.where(unknown, -1, classes), 8)
    assert metric.compute() == pytest.approx(expected(clusters[~unknown], classes[~unknown]), abs=1e-12)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_only_known_classes_make_it_labelled() -> None:
    metric = ClusterAgreement()
    assert not metric.is_labelled
    metric.update(torch.tensor([0, 1]), torch.tensor([-1, -1]))
    assert not metric.is_labelled
    assert all(math.isnan(score) for score in metric.compute().values())
    metric.update(torch.tensor([1]), torch.tensor([0]))
    assert metric.is_labelled


def test_reset_forgets_every_batch() -> None:
    clusters, classes = labels()
    metric = updated(ClusterAgreement(), clusters[::-1].copy(), classes, 90)
    metric.reset()
    assert not metric.is_labelled
    assert updated(metric, clusters, classes, 10).compute() == pytest.approx(expected(clusters, classes), abs=1e-12)
