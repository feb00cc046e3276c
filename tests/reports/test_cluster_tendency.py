"""Tests of whether data have clusters at all, calibrated on real, shuffled and random data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_blobs
from sklearn.preprocessing import StandardScaler

from lightning_dc.errors import InputError
from lightning_dc.reports.cluster_tendency import ClusterTendency, _shuffled, cluster_tendency

Array = np.ndarray


def standardised(load: Callable[..., tuple[Array, Array]]) -> Array:
    return StandardScaler().fit_transform(load(return_X_y=True)[0])


def of_topics(seed: int = 0) -> Array:
    """Draw texts of four topics with 60 terms each of 400, as rows of TF-IDF are: sparse, of unit length."""
    random = np.random.default_rng(seed)
    rates = np.full((4, 400), 0.02)
    for topic in range(4):
        rates[topic, 60 * topic : 60 * topic + 60] = 0.3
    counts = random.poisson(rates[np.arange(400) % 4])
    idf = np.log(401 / (1 + (counts > 0).sum(0))) + 1
    weighted = counts * idf
    return scipy.sparse.csr_array(weighted / np.linalg.norm(weighted, axis=1, keepdims=True)).toarray()


REAL = {
    "digits": (lambda: load_digits(return_X_y=True)[0] / 16, 10),
    "iris": (lambda: standardised(load_iris), 3),
    "wine": (lambda: standardised(load_wine), 3),
    "breast_cancer": (lambda: standardised(load_breast_cancer), 2),
    "blobs": (lambda: make_blobs(600, 8, centers=5, random_state=0)[0], 5),
    "topics": (of_topics, 4),
}


def tendency(x: Array, n_clusters: int, seed: int = 0, **arguments: object) -> ClusterTendency:
    found = cluster_tendency(torch.as_tensor(x, dtype=torch.float32), n_clusters, seed=seed, **arguments)
    assert found is not None
    return found


@pytest.mark.parametrize("name", REAL)
def test_real_data_have_clusters(name: str) -> None:
    load, n_clusters = REAL[name]
    assert all(tendency(load(), n_clusters, seed).is_clustered for seed in range(3))


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_shuffled_data_have_none(name: str) -> None:
    load, n_clusters = REAL[name]
    x, found = load(), []
    for seed in range(10):
        random = np.random.default_rng(seed)
        found.append(tendency(np.stack([random.permutation(column) for column in x.T], 1), n_clusters, seed))
    assert sum(not one.is_clustered for one in found) >= 9


@pytest.mark.parametrize(("n_inputs", "n_clusters"), [(5, 3), (40, 10)])
def test_random_numbers_have_none(n_inputs: int, n_clusters: int) -> None:
    found = [tendency(np.random.default_rng(seed).normal(size=(500, n_inputs)), n_clusters, seed) for seed in range(10)]
    assert sum(not one.is_clustered for one in found) >= 9


def test_the_share_is_that_of_scikit_learn() -> None:
    x = standardised(load_wine).astype(np.float32)
    expected = 1 - KMeans(3, n_init=10, random_state=0).fit(x).inertia_ / ((x - x.mean(0)) ** 2).sum()
    found = tendency(x, 3)
    assert found.share == pytest.approx(expected, rel=2e-3)
    assert found.mean < found.share
    assert found.deviation > 0


def test_more_than_three_deviations_are_needed() -> None:
    assert not ClusterTendency(0.53, 0.5, 0.01).is_clustered
    assert ClusterTendency(0.5301, 0.5, 0.01).is_clustered


def test_one_hot_inputs_of_a_category_are_shuffled_together() -> None:
    """Else a category alone, whose inputs exclude one another, would be found to be clustered."""
    random = np.random.default_rng(0)
    x = np.concatenate([np.eye(4)[random.integers(4, size=300)] * 2, random.normal(size=(300, 3))], 1)
    groups = [[0, 1, 2, 3], [4], [5], [6]]
    assert tendency(x, 4).is_clustered
    assert not tendency(x, 4, groups=groups).is_clustered
    columns = torch.tensor([0, 0, 0, 0, 1, 2, 3])
    shuffled = _shuffled(torch.as_tensor(x), columns, torch.Generator().manual_seed(0)).numpy()
    assert (shuffled[:, :4].sum(1) == 2).all()
    assert not np.array_equal(shuffled, x)
    np.testing.assert_array_equal(np.sort(shuffled, 0), np.sort(x, 0))


def test_of_many_inputs_those_with_the_largest_variance_count() -> None:
    random = np.random.default_rng(0)
    blobs = np.repeat(np.eye(3) * 8, 50, 0) @ random.normal(size=(3, 20)) + random.normal(size=(150, 20))
    noise = random.normal(size=(150, 2000)) * 0.5
    wide = np.concatenate([noise, blobs], 1)
    most = wide[:, np.argsort(-wide.astype(np.float32).astype(float).var(0), kind="stable")[: 5000 // 3]]
    found, expected = tendency(wide, 3), tendency(most, 3)
    assert found.share == pytest.approx(expected.share, rel=1e-9)
    assert found.share != pytest.approx(tendency(wide[:, -1000:], 3).share, rel=1e-2)
    assert found.mean == pytest.approx(expected.mean, rel=0.05)  # of other shuffles
    assert found.is_clustered


@pytest.mark.parametrize(
    ("x", "n_clusters"),
    [
        (np.random.default_rng(0).normal(size=(50, 1)), 3),
        (np.random.default_rng(0).normal(size=(50, 3)), 1),
        (np.random.default_rng(0).normal(size=(5, 3)), 5),
        (np.ones((50, 3)), 2),
    ],
)
def test_there_may_be_nothing_to_compare(x: Array, n_clusters: int) -> None:
    assert cluster_tendency(torch.as_tensor(x), n_clusters) is None


def test_groups_must_hold_each_input_once() -> None:
    with pytest.raises(InputError, match="must be in one group"):
        cluster_tendency(torch.rand(20, 3), 2, [[0, 1], [1, 2]])
