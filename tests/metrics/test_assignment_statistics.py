"""Tests of statistics of soft assignments against scipy and numpy, over batches and processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from lightning_dc.metrics import AssignmentStatistics

N_CLUSTERS = 5


def assignments(n_samples: int, seed: int = 0) -> np.ndarray:
    """Draw soft assignments that leave the last cluster empty."""
    q = np.random.default_rng(seed).dirichlet(np.full(N_CLUSTERS - 1, 0.4), n_samples)
    return np.concatenate([q * 0.99, np.full((n_samples, 1), 0.01)], axis=1)


def expected(q: np.ndarray) -> dict[str, float]:
    shares = np.bincount(q.argmax(1), minlength=N_CLUSTERS) / len(q)
    return {
        "entropy": entropy(q, axis=1).mean(),
        "smallest": shares.min(),
        "largest": shares.max(),
        "empty": np.count_nonzero(shares == 0),
    }


def test_statistics_of_unequal_batches_are_those_of_the_whole_set() -> None:
    q = assignments(60)
    metric = AssignmentStatistics(N_CLUSTERS)
    for batch in torch.from_numpy(q).split([7, 30, 0, 22, 1]):
        metric.update(batch)
    assert metric.compute() == pytest.approx(expected(q), rel=1e-12)
    assert metric.compute()["empty"] == 1.0


def test_reset_forgets_every_batch() -> None:
    metric = AssignmentStatistics(N_CLUSTERS)
    metric.update(torch.from_numpy(assignments(20, seed=1)))
    metric.compute()
    metric.reset()
    q = assignments(10, seed=2)
    metric.update(torch.from_numpy(q))
    assert metric.compute() == pytest.approx(expected(q), rel=1e-12)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_statistics_without_samples_are_zero() -> None:
    nothing = {"entropy": 0.0, "smallest": 0.0, "largest": 0.0, "empty": float(N_CLUSTERS)}
    assert AssignmentStatistics(N_CLUSTERS).compute() == nothing
