"""Tests of scores of a contingency table against scikit-learn, and of the accuracy against all matchings."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from lightning_dc.functional import (
    adjusted_rand_index,
    agreement_scores,
    clustering_accuracy,
    contingency_table,
    normalized_mutual_information,
)

K_AND_C = [(4, 4), (3, 6), (6, 3), (1, 4), (4, 1)]


@st.composite
def partitions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw two partitions with random numbers of parts; classes may be -1."""
    n_samples = draw(st.integers(0, 30))
    n_clusters, n_classes = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    clusters = draw(st.lists(st.integers(0, n_clusters - 1), min_size=n_samples, max_size=n_samples))
    classes = draw(st.lists(st.integers(-1, n_classes - 1), min_size=n_samples, max_size=n_samples))
    return np.array(clusters, dtype=np.int64), np.array(classes, dtype=np.int64)


def table_of(clusters: np.ndarray, classes: np.ndarray, n_clusters: int = 6, n_classes: int = 6) -> np.ndarray:
    return contingency_table(torch.from_numpy(clusters), torch.from_numpy(classes), n_clusters, n_classes).numpy()


def best_matching(table: np.ndarray) -> float:
    """Return the share of samples in the best one-to-one matching by trying all matchings."""
    if len(table) > table.shape[1]:
        table = table.T
    matchings = permutations(range(table.shape[1]), len(table))
    return max(sum(table[i, j] for i, j in enumerate(matching)) for matching in matchings) / table.sum()


def labels(n_clusters: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw clusters and classes that agree about as much as in real data."""
    random = np.random.default_rng(seed)
    classes = random.integers(0, n_classes, 200)
    clusters = np.where(random.random(200) < 0.6, classes % n_clusters, random.integers(0, n_clusters, 200))
    return clusters, classes


@pytest.mark.parametrize(("n_clusters", "n_classes"), K_AND_C)
def test_table_equals_sklearns(n_clusters: int, n_classes: int) -> None:
    clusters, classes = labels(n_clusters, n_classes)
    expected = contingency_matrix(clusters, classes)
    table = table_of(clusters, classes, n_clusters, n_classes)
    assert table.dtype == np.int64
    np.testing.assert_array_equal(table, expected)


def test_table_keeps_rows_and_columns_that_no_sample_has() -> None:
    table = table_of(np.array([0, 2]), np.array([3, 0]), 4, 5)
    expected = np.zeros((4, 5), dtype=np.int64)
    expected[0, 3] = expected[2, 0] = 1
    np.testing.assert_array_equal(table, expected)


def test_table_leaves_unknown_classes_out() -> None:
    clusters, classes = labels(4, 3)
    unknown = np.random.default_rng(1).random(len(classes)) < 0.4
    table = table_of(clusters, np.where(unknown, -1, classes), 4, 3)
    np.testing.assert_array_equal(table, contingency_matrix(clusters[~unknown], classes[~unknown]))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_table_of_short_integers_does_not_overflow(dtype: torch.dtype) -> None:
    last = torch.tensor([200], dtype=dtype)
    table = contingency_table(last, last, 201, 201)
    assert table.nonzero().tolist() == [[200, 200]]


@pytest.mark.parametrize(("n_clusters", "n_classes"), K_AND_C)
@pytest.mark.parametrize("seed", [0, 1])
def test_scores_equal_sklearns(n_clusters: int, n_classes: int, seed: int) -> None:
    clusters, classes = labels(n_clusters, n_classes, seed)
    table = table_of(clusters, classes)
    scores = agreement_scores(table)
    assert scores == pytest.approx(
        {
            "acc": best_matching(table),
            "nmi": normalized_mutual_info_score(classes, clusters),
            "ari": adjusted_rand_score(classes, clusters),
        },
        abs=1e-12,
    )


@settings(deadline=None, max_examples=150)
@given(partitions())
def test_scores_equal_sklearns_on_any_labels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    clusters, classes = pair
    known = classes >= 0
    table = table_of(clusters, classes)
    if not known.any():
        assert all(math.isnan(score) for score in agreement_scores(table).values())
        return
    assert clustering_accuracy(table) == pytest.approx(best_matching(table), abs=1e-12)
    nmi = normalized_mutual_information(table)
    assert nmi == pytest.approx(normalized_mutual_info_score(classes[known], clusters[known]), abs=1e-12)
    assert 0.0 <= nmi <= 1.0
    ari = adjusted_rand_index(table)
    assert ari == pytest.approx(adjusted_rand_score(classes[known], clusters[known]), abs=1e-12)
    assert -0.5 - 1e-12 <= ari <= 1.0


@settings(deadline=None, max_examples=50)
@given(partitions(), st.permutations(range(6)))
def test_scores_do_not_depend_on_the_names_of_clusters(pair: tuple[np.ndarray, np.ndarray], names: list[int]) -> None:
    clusters, classes = pair
    scores = agreement_scores(table_of(clusters, classes))
    renamed = agreement_scores(table_of(np.array(names)[clusters], classes))
    assert renamed == pytest.approx(scores, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("clusters", "classes"),
    [
        ([0, 0, 0], [0, 0, 0]),
        ([0, 0, 0], [0, 1, 2]),
        ([0, 1, 2], [0, 0, 0]),
        ([0, 1, 2], [2, 0, 1]),
        ([0, 0, 1, 1], [0, 1, 0, 1]),
        ([0], [3]),
    ],
)
def test_scores_of_trivial_partitions_equal_sklearns(clusters: list[int], classes: list[int]) -> None:
    table = table_of(np.array(clusters), np.array(classes))
    assert normalized_mutual_information(table) == pytest.approx(normalized_mutual_info_score(classes, clusters))
    assert adjusted_rand_index(table) == pytest.approx(adjusted_rand_score(classes, clusters))
    assert clustering_accuracy(table) == pytest.approx(best_matching(table))


def test_pairs_of_seventy_thousand_samples_are_counted_exactly() -> None:
    classes = np.repeat(np.arange(5), 14_000)
    clusters = classes.copy()
    clusters[:100] = 1
    expected = adjusted_rand_score(classes, clusters)
    assert adjusted_rand_index(table_of(clusters, classes)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (3, 4)])
def test_scores_without_samples_are_nan(shape: tuple[int, int]) -> None:
    scores = agreement_scores(np.zeros(shape, dtype=np.int64))
    assert list(scores) == ["acc", "nmi", "ari"]
    assert all(math.isnan(score) for score in scores.values())
