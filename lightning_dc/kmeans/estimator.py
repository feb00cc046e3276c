"""K-means as a class with the interface of scikit-learn."""

from __future__ import annotations

from typing import Literal

import torch

from lightning_dc.kmeans.arrays import Array, as_init, to_dense, to_rows, to_weights
from lightning_dc.kmeans.centroid_estimator import CentroidEstimator
from lightning_dc.kmeans.lloyd import N_INIT, kmeans

Initialisation = Literal["k-means++", "random"] | Array
"""Name of a seeding, or centroids to start from, (K, D)."""


class KMeans(CentroidEstimator):
    """Exact k-means with the interface of scikit-learn's class; see :func:`~lightning_dc.kmeans.kmeans`.

    Args:
        n_clusters: K.
        init: "k-means++", "random", or centroids to start from, (K, D).
        n_init: number of restarts, of which the best one is kept; with given centroids there is only one.
        max_iter: largest number of iterations of a restart.
        tol: a restart has converged when the squared shift of its centroids is at most this share of the mean variance
            of the features.
        spherical: cluster by direction; the inertia is then the sum of weight times (1 - cosine).
        seed: seed of the random numbers that choose the first centroids. Global random numbers are not used.

    Example:
        >>> import numpy as np
        >>> KMeans(2, seed=0).fit_predict(np.array([[0.0], [1.0], [10.0]])).tolist() in ([0, 0, 1], [1, 1, 0])
        True
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Initialisation = "k-means++",
        n_init: int = N_INIT,
        max_iter: int = 300,
        tol: float = 1e-4,
        spherical: bool = False,
        seed: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.spherical = spherical
        self.seed = seed

    def fit(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> KMeans:
        """Cluster samples, (N, D), with weights, (N,); ``y`` is ignored, as in scikit-learn.

        Raises:
            InputError: there are too few samples, values are not finite, or the weights or ``init`` do not fit.
        """
        rows = to_rows(x)
        self._check_features(x, rows.shape[1], reset=True)
        result = kmeans(
            to_dense(rows),
            self.n_clusters,
            n_init=self.n_init,
            init=as_init(self.init),
            max_iter=self.max_iter,
            tol=self.tol,
            sample_weight=to_weights(sample_weight, rows),
            spherical=self.spherical,
            generator=torch.Generator().manual_seed(self.seed),
        )
        self._centroids, self.n_iter_ = result.centroids, result.n_iter
        self._set_results(x, result.labels, result.inertia)
        self._warn_of_empty_clusters(result.labels)
        return self
