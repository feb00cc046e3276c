"""Tests of metrics on two processes with different clusters and classes, against scikit-learn and scipy.

Only the tests make slow imports, since the two processes import this file, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lightning_dc.batch import TargetSpec
from lightning_dc.metrics import AssignmentStatistics, ClusterAgreement, TaskScores
from tests.helpers.processes import run_on_two_processes

pytestmark = pytest.mark.distributed
N_CLUSTERS = 6


def samples() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw soft assignments to five of six clusters, with their clusters and four classes."""
    random = np.random.default_rng(3)
    q = random.dirichlet(np.full(N_CLUSTERS - 1, 0.4), 90)
    q = np.concatenate([q * 0.99, np.full((90, 1), 0.01)], axis=1)
    clusters = q.argmax(1)
    return q, clusters, np.where(random.random(90) < 0.7, clusters % 3, random.integers(0, 4, 90))


SPECS = {"class": TargetSpec("class", ("a", "b", "c")), "survival": TargetSpec("survival", ("time", "event"))}
SHARES = {"uneven": 11, "first has all": 60}
"""Number of the first process's predictions, of 60 in all."""


def predictions(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw outputs and targets in float64, as in a 64-bit run."""
    random = np.random.default_rng(4)
    output = torch.from_numpy(random.normal(size=(60, SPECS[kind].n_outputs)))
    if kind == "class":
        return output, torch.from_numpy(random.integers(-1, 3, 60))
    return output, torch.from_numpy(np.column_stack([random.integers(1, 9, 60), random.random(60) < 0.5]).astype(float))


def task_scores(kind: str, rank: int, n_first: int) -> dict[str, float]:
    output, targets = predictions(kind)
    own = slice(0, n_first) if rank == 0 else slice(n_first, None)
    metric = TaskScores(SPECS[kind])
    if len(output[own]):
        metric.update(output[own], targets[own])
    assert metric.is_supervised
    return metric.compute()


def rows_of(rank: int, clusters: np.ndarray, classes: np.ndarray) -> np.ndarray:
    first = (clusters < 2) & (classes < 2)
    return first if rank == 0 else ~first


def compute(rank: int) -> dict[str, Any]:
    q, clusters, classes = samples()
    own = rows_of(rank, clusters, classes)
    agreement = ClusterAgreement()
    for start in range(0, own.sum(), 7):
        rows = slice(start, start + 7)
        agreement.update(torch.from_numpy(clusters[own][rows]), torch.from_numpy(classes[own][rows]))
    statistics = AssignmentStatistics(N_CLUSTERS)
    statistics.update(torch.from_numpy(q[own]))

    alone = ClusterAgreement()
    if rank == 0:
        alone.update(torch.from_numpy(clusters), torch.from_numpy(classes))
    else:
        alone.update(torch.from_numpy(clusters[:0]), torch.from_numpy(classes[:0]))
    return {
        "task": {name: {key: task_scores(key, rank, rows) for key in SPECS} for name, rows in SHARES.items()},
        "shape": list(agreement.table.shape),
        "scores": agreement.compute(),
        "samples_of_own": int(agreement.table.sum()),
        "statistics": statistics.compute(),
        "labelled_on_rank_0": alone.is_labelled,
        "labelled_nowhere": ClusterAgreement().is_labelled,
        "scores_of_rank_0": alone.compute(),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_on_two_processes(compute, tmp_path_factory.mktemp("metrics"))


def expected_scores() -> dict[str, float]:
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    _, clusters, classes = samples()
    matrix = contingency_matrix(clusters, classes)
    return {
        "acc": matrix[linear_sum_assignment(-matrix)].sum() / matrix.sum(),
        "nmi": normalized_mutual_info_score(classes, clusters),
        "ari": adjusted_rand_score(classes, clusters),
    }


def test_agreement_is_that_of_all_samples_though_tables_differ_in_shape(results: list[dict[str, Any]]) -> None:
    assert results[0]["shape"] == [2, 2]
    assert results[1]["shape"] == [N_CLUSTERS - 1, 4]
    for result in results:
        assert result["scores"] == pytest.approx(expected_scores(), abs=1e-12)


def test_a_process_goes_on_with_its_own_counts(results: list[dict[str, Any]]) -> None:
    _, clusters, classes = samples()
    for rank, result in enumerate(results):
        assert result["samples_of_own"] == rows_of(rank, clusters, classes).sum()


def test_statistics_are_those_of_all_samples(results: list[dict[str, Any]]) -> None:
    from scipy.stats import entropy

    q, clusters, _ = samples()
    shares = np.bincount(clusters, minlength=N_CLUSTERS) / len(q)
    expected = {"entropy": entropy(q, axis=1).mean(), "smallest": 0.0, "largest": shares.max(), "empty": 1.0}
    for result in results:
        assert result["statistics"] == pytest.approx(expected, rel=1e-12)


def test_a_process_without_samples_reports_the_scores_of_the_other(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert result["scores_of_rank_0"] == pytest.approx(expected_scores(), abs=1e-12)


def test_every_process_knows_whether_any_sample_is_labelled(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert result["labelled_on_rank_0"]
        assert not result["labelled_nowhere"]


def test_task_scores_are_those_of_all_samples_though_a_process_has_few_or_none(results: list[dict[str, Any]]) -> None:
    for kind, spec in SPECS.items():
        alone = TaskScores(spec)
        alone.update(*predictions(kind))
        for result in results:
            for name in SHARES:
                assert result["task"][name][kind] == pytest.approx(alone.compute(), rel=1e-12), (kind, name)
