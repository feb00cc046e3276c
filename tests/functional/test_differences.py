"""Tests of standardised differences against the t-test of scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ttest_ind

from lightning_dc.functional import standardized_differences


def differences(x: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """Compute our differences from counts and sums."""
    own = np.eye(n_clusters)[labels].T
    counts, sums, squares = (torch.from_numpy(own @ rows) for rows in (np.ones(len(x)), x, x**2))
    return standardized_differences(counts, sums, squares).numpy()


@pytest.mark.parametrize("offset", [0.0, -1e4])
def test_a_difference_is_the_t_statistic_without_its_share_of_the_sample_sizes(offset: float) -> None:
    """The t statistic is d / sqrt(1 / n + 1 / m) if the variance is pooled (equal_var)."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [1, 12, 30])
    x = random.normal(size=(43, 4)) * [1, 5, 0.1, 1] + labels[:, None] * [0, 1, -1, 0.3] + offset
    found = differences(x, labels, 3)
    for k in range(3):
        own, rest = x[labels == k], x[labels != k]
        t = ttest_ind(own, rest).statistic
        assert found[k] == pytest.approx(t * np.sqrt(1 / len(own) + 1 / len(rest)), rel=1e-6)


def test_the_unit_of_an_input_does_not_matter() -> None:
    random = np.random.default_rng(1)
    x, labels = random.normal(size=(50, 1)), np.arange(50) % 2
    for unit in (1e-6, 1e6):
        assert differences(unit * x, labels, 2) == pytest.approx(differences(x, labels, 2), rel=1e-9)


def test_a_category_of_one_cluster_alone_is_infinitely_different() -> None:
    labels = np.repeat([0, 1, 2], 20)
    for unit in (1.0, 1e-8, 0.1 / 3):
        found = differences(np.eye(3)[labels] * unit + unit, labels, 3)
        assert (np.diag(found) == np.inf).all()
        assert np.isfinite(found[~np.eye(3, dtype=bool)]).all()
    assert differences(-np.eye(3)[labels][:, :1], labels, 3)[0, 0] == -np.inf


def test_what_does_not_differ_is_0_and_what_can_not_be_compared_nan() -> None:
    labels = np.array([0, 0, 2, 2])  # no sample in cluster 1
    x = np.column_stack([np.full(4, 0.1), [1.0, 2.0, 4.0, 3.0]])
    found = differences(x, labels, 3)
    assert (found[[0, 2], 0] == 0).all()
    assert np.isnan(found[1]).all()
    assert np.isnan(differences(x, np.zeros(4, dtype=np.int64), 1)).all()
