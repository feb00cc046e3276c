"""Tests of outcome tables and their statistics against scikit-learn, scikit-survival and formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2, mannwhitneyu
from sklearn.feature_selection import f_classif
from sklearn.metrics.cluster import contingency_matrix
from sksurv.compare import compare_survival
from sksurv.util import Surv

from lightning_dc.batch import TargetSpec
from lightning_dc.reports.outcomes import OutcomeTable, outcome_tables

N, K = 200, 4


@pytest.fixture
def clusters() -> np.ndarray:
    return np.random.default_rng(0).integers(0, K, N)


def only(tables: list[OutcomeTable]) -> OutcomeTable:
    (table,) = tables
    return table


def pearson(table: np.ndarray) -> tuple[float, float]:
    """Compute chi-square and its p-value by the formula."""
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    return statistic, chi2.sf(statistic, (table.shape[0] - 1) * (table.shape[1] - 1))


def test_classes(clusters: np.ndarray) -> None:
    random = np.random.default_rng(1)
    classes = np.where(random.random(N) < 0.3, clusters % 3, random.integers(0, 3, N))
    classes[::9] = -1
    table = only(outcome_tables(clusters, classes, TargetSpec("class", ("a", "b", "c")), K + 1))
    known = classes >= 0
    counts = contingency_matrix(clusters[known], classes[known])
    assert [[row[name] for name in "abc"] for row in table.clusters] == [*counts.tolist(), [0, 0, 0]]
    assert [row["n"] for row in table.clusters] == [*counts.sum(1), 0]
    assert [table.total[name] for name in ("n", *"abc")] == [known.sum(), *counts.sum(0)]
    statistic, p = pearson(counts)
    assert table.tests["chi_square"] == pytest.approx(statistic)
    assert table.tests["p"] == pytest.approx(p)
    assert table.tests["cramers_v"] == pytest.approx(math.sqrt(statistic / known.sum() / 2))


def test_two_by_two_has_no_continuity_correction() -> None:
    clusters, classes = np.repeat([0, 0, 1, 1], [12, 5, 3, 9]), np.repeat([0, 1, 0, 1], [12, 5, 3, 9])
    tests = only(outcome_tables(clusters, classes, TargetSpec("class", ("a", "b")), 2)).tests
    assert tests["p"] == pytest.approx(pearson(np.array([[12, 5], [3, 9]]))[1])


def test_labels_have_a_table_each(clusters: np.ndarray) -> None:
    random = np.random.default_rng(2)
    labels = (random.random((N, 2)) < 0.4).astype(float)
    labels[:20, 0] = np.nan
    tables = outcome_tables(clusters, labels, TargetSpec("multilabel", ("x", "y")), K)
    assert [table.target for table in tables] == ["x", "y"]
    for table, column in zip(tables, labels.T, strict=True):
        known = ~np.isnan(column)
        counts = contingency_matrix(clusters[known], column[known])
        assert [[row["0"], row["1"]] for row in table.clusters] == counts.tolist()
        assert table.tests["p"] == pytest.approx(pearson(counts)[1])


def test_values_have_a_table_each(clusters: np.ndarray) -> None:
    random = np.random.default_rng(3)
    values = random.normal(size=(N, 2)) + 0.3 * clusters[:, None]
    values[5:30, 1] = np.nan
    for table, column in zip(
        outcome_tables(clusters, values, TargetSpec("value", ("u", "v")), K), values.T, strict=True
    ):
        known = ~np.isnan(column)
        f, p = f_classif(column[known, None], clusters[known])
        assert table.tests["anova_f"] == pytest.approx(f[0])
        assert table.tests["p"] == pytest.approx(p[0])
        groups = [column[known & (clusters == k)] for k in range(K)]
        within = sum(((own - own.mean()) ** 2).sum() for own in groups)
        total = ((column[known] - column[known].mean()) ** 2).sum()
        assert table.tests["eta_squared"] == pytest.approx(1 - within / total)
        for own, row in zip(groups, table.clusters, strict=True):
            assert row == pytest.approx(
                {"n": len(own), "mean": np.mean(own), "std": np.std(own, ddof=1), "median": np.median(own)}
            )


def test_kruskal_wallis_of_two_clusters_is_the_rank_sum_test() -> None:
    random = np.random.default_rng(4)
    clusters, values = np.repeat([0, 1], [40, 30]), random.exponential(size=70)
    tests = only(outcome_tables(clusters, values[:, None], TargetSpec("value", ("v",)), 2)).tests
    theirs = mannwhitneyu(values[:40], values[40:], method="asymptotic", use_continuity=False)
    assert tests["kruskal_p"] == pytest.approx(theirs.pvalue)


def survival(seed: int, clusters: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(seed)
    death, censoring = random.exponential(1.0 + 0.5 * clusters), random.exponential(2.0, len(clusters))
    return np.column_stack([np.minimum(death, censoring).round(1) + 0.1, death <= censoring]).astype(float)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_survival_has_the_log_rank_test_of_scikit_survival(clusters: np.ndarray, seed: int) -> None:
    targets = survival(seed, clusters)
    targets[3, 0], targets[8, 1], targets[9] = np.nan, np.nan, np.nan
    table = only(outcome_tables(clusters, targets, TargetSpec("survival", ("time", "event")), K))
    known = ~np.isnan(targets).any(1)
    outcome = Surv.from_arrays(targets[known, 1] == 1, targets[known, 0])
    statistic, p = compare_survival(outcome, clusters[known])
    assert table.tests["log_rank"] == pytest.approx(statistic)
    assert table.tests["p"] == pytest.approx(p)
    assert [row["n"] for row in table.clusters] == np.bincount(clusters[known]).tolist()
    assert [row["events"] for row in table.clusters] == np.bincount(clusters[known], targets[known, 1]).tolist()


def test_a_median_that_is_not_reached_is_infinite() -> None:
    targets = np.array([[1.0, 1], [2, 0], [3, 0], [1, 1], [2, 1], [3, 1]])
    table = only(outcome_tables(np.repeat([0, 1], 3), targets, TargetSpec("survival", ("time", "event")), 2))
    assert [row["median_time"] for row in table.clusters] == [math.inf, 2.0]


@pytest.mark.parametrize(
    ("spec", "targets"),
    [
        (TargetSpec("class", ("a", "b")), np.array([0, 0, 1])),
        (TargetSpec("class", ("a", "b")), np.array([-1, -1, -1])),
        (TargetSpec("value", ("v",)), np.array([[1.0], [2.0], [5.0]])),
        (TargetSpec("value", ("v",)), np.full((3, 1), np.nan)),
        (TargetSpec("survival", ("time", "event")), np.array([[1.0, 1], [2, 1], [3, 0]])),
        (TargetSpec("survival", ("time", "event")), np.full((3, 2), np.nan)),
    ],
)
def test_without_two_clusters_there_is_no_test(spec: TargetSpec, targets: np.ndarray) -> None:
    table = only(outcome_tables(np.zeros(3, dtype=int), targets, spec, 2))
    assert all(math.isnan(value) for value in table.tests.values())
    assert table.clusters[1]["n"] == 0
    assert len(table.clusters) == 2


@pytest.mark.parametrize(
    ("spec", "targets"),
    [
        (TargetSpec("class", ("a", "b")), np.zeros(4, dtype=int)),
        (TargetSpec("value", ("v",)), np.ones((4, 1))),
        (TargetSpec("survival", ("time", "event")), np.array([[1.0, 0], [2, 0], [3, 0], [4, 0]])),
    ],
)
def test_without_two_outcomes_there_is_no_test(spec: TargetSpec, targets: np.ndarray) -> None:
    tests = only(outcome_tables(np.array([0, 0, 1, 1]), targets, spec, 2)).tests
    assert all(math.isnan(value) for value in tests.values())
