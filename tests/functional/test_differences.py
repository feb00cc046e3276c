"""Standardised differences against NumPy."""

from __future__ import annotations

import numpy as np
import torch

from lightning_dc.functional import standardized_differences


def differences(x: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    members = torch.as_tensor(labels)[None] == torch.arange(n_clusters)[:, None]
    rows = torch.as_tensor(x, dtype=torch.float64)
    sums, squares = (members.double() @ v for v in (rows, rows**2))
    return standardized_differences(members.sum(1), sums, squares).numpy()


def test_they_are_cohens_d() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 90)
    x = random.normal(5.0, 2.0, (90, 4)) + labels[:, None]
    found = differences(x, labels, 3)
    for k in range(3):
        own, rest = x[labels == k], x[labels != k]
        pooled = ((len(own) - 1) * own.var(0, ddof=1) + (len(rest) - 1) * rest.var(0, ddof=1)) / 88
        np.testing.assert_allclose(found[k], (own.mean(0) - rest.mean(0)) / np.sqrt(pooled), rtol=1e-10)


def test_a_category_of_one_cluster_alone_is_infinitely_different() -> None:
    labels = np.repeat([0, 1, 2], 20)
    for unit in (1.0, 1e-8, 0.1 / 3):
        found = differences(np.eye(3)[labels] * unit + unit, labels, 3)
        assert (np.diag(found) == np.inf).all()
        assert np.isfinite(found[~np.eye(3, dtype=bool)]).all()
    assert differences(-np.eye(3)[labels][:, :1], labels, 3)[0, 0] == -np.inf


def test_what_does_not_differ_or_can_not_be_compared_is_0() -> None:
    labels = np.array([0, 0, 2, 2])  # no sample in cluster 1
    x = np.column_stack([np.full(4, 0.1), [1.0, 2.0, 4.0, 3.0]])
    found = differences(x, labels, 3)
    assert (found[:, 0] == 0).all()
    assert (found[1] == 0).all()
    assert (differences(x, np.zeros(4, dtype=np.int64), 1) == 0).all()
