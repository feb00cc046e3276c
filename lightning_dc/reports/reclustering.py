"""Clustering of embeddings by algorithms that are not trained with the encoder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.kmeans import kmeans

Algorithm = Literal["kmeans", "gaussian_mixture", "agglomerative", "hdbscan", "spectral"]

_Labels = NDArray[np.integer]
_MOST_SAMPLES = {"agglomerative": 10_000, "hdbscan": 100_000, "spectral": 10_000}  # time or memory grow with N^2
_N_INIT = 20


def sample_size(algorithm: Algorithm, n_samples: int) -> int:
    """Return the number of samples that an algorithm clusters; the others join the cluster of their nearest one."""
    return min(n_samples, _MOST_SAMPLES.get(algorithm, n_samples))


def check_algorithms(names: Sequence[str]) -> None:
    """Check the names of algorithms.

    Raises:
        InputError: a name is unknown.
    """
    for name in names:
        if name not in get_args(Algorithm):
            raise InputError(f"recluster={name!r} is unknown; choose from {', '.join(get_args(Algorithm))}")


def recluster(z: Tensor, n_clusters: int, algorithm: Algorithm, *, seed: int = 0) -> Tensor:
    """Cluster embeddings by an algorithm.

    K-means is that of this package, with 20 restarts. The other algorithms are those of scikit-learn: a Gaussian
    mixture with full covariances that starts from k-means, agglomerative clustering by Ward's criterion, HDBSCAN with a
    smallest cluster of a tenth of N / K samples, and spectral clustering on the graph of 10 nearest neighbours with
    ``cluster_qr``. If there are more samples, agglomerative and spectral clustering use a random sample of 10,000, and
    HDBSCAN uses one of 100,000; every other sample joins the cluster of its nearest neighbour in it.

    Args:
        z: embeddings, (N, D), finite.
        n_clusters: number of clusters K; HDBSCAN finds its own number.
        algorithm: name of the algorithm.
        seed: seed of all random numbers.

    Returns:
        Cluster of each sample, (N,), int64, -1 for the noise of HDBSCAN.

    Raises:
        InputError: an unknown algorithm, or fewer samples than clusters.
    """
    check_algorithms((algorithm,))
    if len(z) < n_clusters:
        raise InputError(f"n_clusters={n_clusters} is more than the {len(z)} samples; choose fewer clusters")
    z = z.detach().cpu()
    if algorithm == "kmeans":
        generator = torch.Generator().manual_seed(seed)
        return kmeans(z, n_clusters, n_init=_N_INIT, generator=generator).labels
    cluster = {
        "gaussian_mixture": _gaussian_mixture,
        "agglomerative": _agglomerative,
        "hdbscan": _hdbscan,
        "spectral": _spectral,
    }[algorithm]
    most = sample_size(algorithm, len(z))
    with warnings.catch_warnings():
        # A mixture may not quite have converged, and a graph may have several components, as separate clusters do.
        warnings.simplefilter("ignore", UserWarning)
        labels = _cluster_sample(z.double().numpy(), n_clusters, seed, most, cluster)
    return torch.from_numpy(labels.astype(np.int64))


def _cluster_sample(
    z: NDArray[np.float64], n_clusters: int, seed: int, most: int, cluster: Callable[..., _Labels]
) -> _Labels:
    """Cluster at most ``most`` samples; each of the others joins the cluster of its nearest neighbour among them."""
    if len(z) <= most:
        return cluster(z, n_clusters, seed)
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.random.default_rng(seed).choice(len(z), most, replace=False)
    labels: _Labels = KNeighborsClassifier(n_neighbors=1).fit(z[rows], cluster(z[rows], n_clusters, seed)).predict(z)
    return labels


def _gaussian_mixture(z: NDArray[np.float64], n_clusters: int, seed: int) -> _Labels:
    from sklearn.mixture import GaussianMixture

    z = z - z.mean(0)
    variance = float(z.var(0).mean())
    # Added to the variances, on the scale of the data; if all samples are equal, there is no scale.
    floor = 1e-6 * variance if variance > np.finfo(np.float64).tiny else 1e-6
    tensor = torch.from_numpy(z)
    start = kmeans(tensor, n_clusters, n_init=_N_INIT, generator=torch.Generator().manual_seed(seed))
    sizes = np.bincount(start.labels.numpy(), minlength=n_clusters)
    own = start.labels.numpy()
    identity = np.eye(z.shape[1])
    covariances = [
        np.atleast_2d(np.cov(z[own == k], rowvar=False, bias=True)) + floor * identity
        if sizes[k] > z.shape[1]
        else (variance + floor) * identity
        for k in range(n_clusters)
    ]
    mixture = GaussianMixture(
        n_clusters,
        reg_covar=floor,
        weights_init=np.maximum(sizes, 1) / np.maximum(sizes, 1).sum(),
        means_init=start.centroids.numpy(),
        precisions_init=np.linalg.inv(np.stack(covariances)),
        random_state=seed,
        max_iter=200,
    )
    labels: _Labels = mixture.fit_predict(z)
    return labels


def _agglomerative(z: NDArray[np.float64], n_clusters: int, seed: int) -> _Labels:
    from sklearn.cluster import AgglomerativeClustering

    labels: _Labels = AgglomerativeClustering(n_clusters, linkage="ward").fit_predict(z)
    return labels


def _hdbscan(z: NDArray[np.float64], n_clusters: int, seed: int) -> _Labels:
    from sklearn.cluster import HDBSCAN

    smallest = max(5, len(z) // (10 * n_clusters))
    labels: _Labels = HDBSCAN(min_cluster_size=smallest, min_samples=min(5, len(z)), copy=True).fit_predict(z)
    return labels


def _spectral(z: NDArray[np.float64], n_clusters: int, seed: int) -> _Labels:
    from sklearn.cluster import SpectralClustering

    spectral = SpectralClustering(
        n_clusters,
        affinity="nearest_neighbors",
        n_neighbors=min(10, len(z)),
        assign_labels="cluster_qr",
        random_state=seed,
    )
    labels: _Labels = spectral.fit_predict(z)
    return labels
