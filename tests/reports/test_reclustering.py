"""Tests of clustering embeddings again, against scikit-learn and known clusters."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, get_args

import numpy as np
import pytest
import sklearn.cluster
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs, make_circles, make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from lightning_dc.errors import InputError
from lightning_dc.reports import reclustering
from lightning_dc.reports.reclustering import Algorithm, check_algorithms, recluster

ALGORITHMS = get_args(Algorithm)


def separated(n_samples: int = 200) -> tuple[torch.Tensor, np.ndarray]:
    """Draw four round clusters that every algorithm finds."""
    centers = [[0, 0, 0], [20, 0, 0], [0, 20, 0], [0, 0, 20]]
    x, y = make_blobs(n_samples, 3, centers=centers, random_state=0)
    return torch.from_numpy(x.astype(np.float32)), y


def overlapping() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((300, 3)).astype(np.float32))


def elongated() -> tuple[np.ndarray, np.ndarray]:
    """Draw three long parallel clusters; k-means prefers to cut them in half."""
    random = np.random.default_rng(0)
    y = np.arange(600) % 3
    return random.normal(size=(600, 2)) * [6.0, 0.6] + np.array([[0, 0], [3, 6], [-3, 12]])[y], y


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_separated_clusters_are_recovered(algorithm: Algorithm) -> None:
    x, y = separated()
    labels = recluster(x, 4, algorithm)
    assert labels.dtype == torch.int64
    assert labels.shape == (200,)
    core = labels >= 0  # HDBSCAN may call the outermost samples noise
    assert core.double().mean() > 0.95
    assert algorithm == "hdbscan" or core.all()
    assert adjusted_rand_score(y[core], labels[core]) == 1.0
    assert set(labels[core].tolist()) == {0, 1, 2, 3}


def test_kmeans_is_as_good_as_sklearns() -> None:
    x = load_digits().data[:700]
    labels = recluster(torch.from_numpy(x), 10, "kmeans").numpy()
    inertia = sum(((x[labels == k] - x[labels == k].mean(0)) ** 2).sum() for k in range(10))
    assert inertia <= 1.005 * KMeans(10, n_init=20, random_state=0).fit(x).inertia_


def log_likelihood(x: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean log likelihood of the Gaussian mixture whose components are the clusters."""
    clusters = [x[labels == k] for k in np.unique(labels)]
    densities = [
        np.log(len(own) / len(x))
        + multivariate_normal(own.mean(0), np.cov(own.T) + 1e-6 * np.eye(x.shape[1])).logpdf(x)
        for own in clusters
    ]
    return float(logsumexp(densities, axis=0).mean())


def test_a_mixture_finds_elongated_clusters_that_kmeans_cuts() -> None:
    x, y = elongated()
    assert adjusted_rand_score(y, recluster(torch.from_numpy(x), 3, "kmeans")) < 0.5
    assert adjusted_rand_score(y, recluster(torch.from_numpy(x), 3, "gaussian_mixture")) > 0.95


@pytest.mark.parametrize("data", ["elongated", "blobs"])
def test_a_mixture_is_as_likely_as_sklearns(data: str) -> None:
    x = elongated()[0] if data == "elongated" else make_blobs(500, 3, centers=5, cluster_std=2.5, random_state=1)[0]
    n_clusters = 3 if data == "elongated" else 5
    theirs = GaussianMixture(n_clusters, random_state=0).fit_predict(x)
    ours = recluster(torch.from_numpy(x), n_clusters, "gaussian_mixture").numpy()
    assert log_likelihood(x, ours) >= log_likelihood(x, theirs) - 1e-3


def test_the_scale_of_the_embedding_does_not_matter_to_a_mixture() -> None:
    """A share of the variance, not a fixed number, keeps a covariance from collapsing."""
    x, y = elongated()
    for scale in (1e-5, 1e5):
        assert adjusted_rand_score(y, recluster(torch.from_numpy(x * scale), 3, "gaussian_mixture")) > 0.95


def test_hdbscan_marks_noise() -> None:
    random = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [100.0, 0.0]])
    lonely = np.array([[50.0, 400.0], [-300.0, 70.0], [30.0, -500.0]])
    x = np.concatenate([random.normal(size=(100, 2)) + centres[np.arange(100) % 2], lonely])
    labels = recluster(torch.from_numpy(x), 2, "hdbscan")
    assert labels[100:].tolist() == [-1, -1, -1]
    core = labels[:100] >= 0
    assert core.double().mean() > 0.9
    assert adjusted_rand_score(np.arange(100)[core] % 2, labels[:100][core]) == 1.0


@pytest.mark.parametrize("make", [make_moons, make_circles])
def test_spectral_clustering_separates_what_kmeans_cannot(make: Callable[..., tuple[np.ndarray, np.ndarray]]) -> None:
    shape: dict[str, Any] = {"factor": 0.4} if make is make_circles else {}
    x, y = make(300, noise=0.04, random_state=0, **shape)
    assert adjusted_rand_score(y, recluster(torch.from_numpy(x), 2, "kmeans")) < 0.6
    assert adjusted_rand_score(y, recluster(torch.from_numpy(x), 2, "spectral")) == 1.0


@pytest.mark.parametrize("algorithm", ["agglomerative", "hdbscan", "spectral"])
def test_a_sample_is_clustered_and_the_rest_follows(monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm) -> None:
    seen: list[int] = []
    original = getattr(reclustering, f"_{algorithm}")

    def spy(z: np.ndarray, *args: Any) -> np.ndarray:
        seen.append(len(z))
        return original(z, *args)

    monkeypatch.setattr(reclustering, f"_{algorithm}", spy)
    monkeypatch.setattr(reclustering, "_MOST_SAMPLES", {algorithm: 120})
    x, y = separated(400)
    labels = recluster(x, 4, algorithm)
    assert seen == [120]
    assert labels.shape == (400,)
    core = labels >= 0
    assert core.double().mean() > 0.9
    assert adjusted_rand_score(y[core], labels[core]) == 1.0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_seed_alone_decides(monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm) -> None:
    monkeypatch.setattr(reclustering, "_MOST_SAMPLES", {algorithm: 150})
    x = overlapping()
    torch.manual_seed(1)
    np.random.seed(1)
    first = recluster(x, 5, algorithm, seed=3)
    torch.manual_seed(2)
    np.random.seed(2)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    again = recluster(x, 5, algorithm, seed=3)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(first, again)
    assert not all(torch.equal(first, recluster(x, 5, algorithm, seed=seed)) for seed in (4, 5, 6))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_kmeans_of_sklearn_is_never_used(monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("scikit-learn's k-means")

    for module in (
        sklearn.cluster,
        import_module("sklearn.cluster._kmeans"),
        import_module("sklearn.cluster._spectral"),
    ):
        for name in ("k_means", "kmeans_plusplus"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(KMeans, "fit", refuse)
    monkeypatch.setattr(sklearn.cluster.MiniBatchKMeans, "fit", refuse)
    with pytest.raises(AssertionError):  # k-means++ would use it otherwise
        GaussianMixture(4).fit(separated()[0].numpy())
    assert len(recluster(separated()[0], 4, algorithm)) == 200


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_encoder_that_has_collapsed_does_not_end_in_an_error(algorithm: Algorithm) -> None:
    """The run is over, and its other results must still be written."""
    for value in (0.0, 1.1):
        labels = recluster(torch.full((60, 3), value), 4, algorithm)
        assert labels.shape == (60,)
        assert int(labels.max()) < 4


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_given_is_neither_tracked_nor_written_to(algorithm: Algorithm) -> None:
    x = separated()[0].requires_grad_()
    before = x.detach().clone()
    recluster(x, 4, algorithm)
    assert torch.equal(x, before)


def test_an_unknown_algorithm_is_refused() -> None:
    unknown: Any = "dbscan"
    message = "recluster='dbscan' is unknown; choose from kmeans, gaussian_mixture, agglomerative, hdbscan, spectral"
    for call in (lambda: recluster(separated()[0], 4, unknown), lambda: check_algorithms(["kmeans", unknown])):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fewer_samples_than_clusters_are_refused(algorithm: Algorithm) -> None:
    with pytest.raises(InputError, match="n_clusters=4 is more than the 3 samples"):
        recluster(torch.rand(3, 2), 4, algorithm)
