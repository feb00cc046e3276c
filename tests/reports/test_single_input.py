"""Tests of whether clusters follow a single input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from lightning_dc.reports.single_input import SingleInput, single_input


def clustered(x: np.ndarray, n_clusters: int) -> tuple[Tensor, Tensor]:
    labels = KMeans(n_clusters, n_init=5, random_state=0).fit_predict(x)
    return torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(labels)


def of(x: np.ndarray, n_clusters: int, groups: list[list[int]] | None = None) -> SingleInput | None:
    return single_input(*clustered(x, n_clusters), n_clusters, groups)


@pytest.mark.parametrize("n_clusters", [2, 3, 5])
def test_an_input_in_a_small_unit_is_found(n_clusters: int) -> None:
    """Proline of the wines is in hundreds, and the other inputs are not."""
    x = load_wine().data
    found = of(x, n_clusters)
    assert found is not None
    assert found.columns == [load_wine().feature_names.index("proline")]
    x_one = KMeans(n_clusters, n_init=5, random_state=0).fit_predict(x[:, found.columns])
    assert found.agreement >= 0.9
    assert adjusted_rand_score(x_one, clustered(x, n_clusters)[1]) > 0.85


@pytest.mark.parametrize(
    "x",
    [
        StandardScaler().fit_transform(load_wine().data),
        StandardScaler().fit_transform(load_breast_cancer().data),
        load_digits().data / 16,
        make_blobs(600, 8, centers=3, random_state=0)[0],
        np.random.default_rng(0).normal(size=(500, 6)),
    ],
    ids=["wine", "breast_cancer", "digits", "blobs", "noise"],
)
@pytest.mark.parametrize("n_clusters", [2, 3, 8])
def test_clusters_of_many_inputs_follow_none(x: np.ndarray, n_clusters: int) -> None:
    assert of(x, n_clusters) is None


def test_the_agreement_is_that_of_scikit_learn() -> None:
    """Cut one input in two places, and give some samples another cluster."""
    random = np.random.default_rng(0)
    x = np.stack([random.uniform(0, 30, size=400), random.normal(size=400)], 1)
    cut = np.digitize(x[:, 0], [12.0, 18.0])
    labels = cut.copy()
    labels[::40] = 2
    found = single_input(torch.as_tensor(x), torch.as_tensor(labels), 3)
    assert found is not None
    assert found.columns == [0]
    assert found.agreement == pytest.approx(adjusted_rand_score(labels, cut))
    labels[::4] = 2  # far from what the input tells
    assert single_input(torch.as_tensor(x), torch.as_tensor(labels), 3) is None


def test_the_inputs_of_a_category_are_one_input() -> None:
    random = np.random.default_rng(0)
    category = random.integers(3, size=300)
    x = np.concatenate([random.normal(size=(300, 2)) * 0.1, np.eye(3)[category]], 1)
    assert of(x, 3) is None
    found = of(x, 3, [[0], [1], [2, 3, 4]])
    assert found == SingleInput([2, 3, 4], 1.0)


@pytest.mark.parametrize(("n_inputs", "labels"), [(1, [0, 1] * 5), (3, [0] * 10)])
def test_one_input_and_one_cluster_are_no_finding(n_inputs: int, labels: list[int]) -> None:
    assert single_input(torch.rand(10, n_inputs), torch.tensor(labels), 2) is None
