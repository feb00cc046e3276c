"""K-means as a class with the interface of scikit-learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.kmeans.lloyd import N_INIT, kmeans
from lightning_dc.kmeans.nearest import assign_, own_distances
from lightning_dc.kmeans.owned_samples import as_float, as_weights, prepare
from lightning_dc.kmeans.precision import full_precision

Array = Any
"""A tensor, or anything that NumPy converts to a matrix."""

Initialisation = Literal["k-means++", "random"] | Array
"""Name of a seeding, or centroids to start from, (K, D)."""

_Self = TypeVar("_Self", bound="CentroidEstimator")
_DISTANCE_ROWS = 8192  # rows whose distances to all centroids are in memory at a time


class CentroidEstimator(ABC):
    """Base class of estimators that have centroids after ``fit``.

    Results are tensors if the samples are a tensor, and NumPy arrays otherwise.

    Attributes:
        cluster_centers_: centroids, (K, D).
        labels_: cluster of each sample, (N,), int64.
        inertia_: sum of weight times squared distance of the samples to their centroids.
        n_iter_: number of iterations.
        n_features_in_: number of features D.
        spherical: whether samples are compared by direction.
    """

    cluster_centers_: Any
    labels_: Any
    inertia_: float
    n_iter_: int
    n_features_in_: int
    n_clusters: int
    spherical: bool = False
    _centroids: Tensor

    def __init__(self) -> None:
        self.n_iter_ = 0

    @property
    def is_fitted(self) -> bool:
        """True if the estimator has centroids."""
        return hasattr(self, "_centroids")

    @abstractmethod
    def fit(self: _Self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> _Self:
        """Cluster samples, (N, D), with weights, (N,); ``y`` is ignored, as in scikit-learn."""

    def fit_predict(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> Any:
        """Fit, and return the cluster of each sample, (N,)."""
        return self.fit(x, sample_weight=sample_weight).labels_

    def predict(self, x: Array) -> Any:
        """Return the nearest centroid of each sample, (N,), int64; on a tie, the one with the lower number.

        Raises:
            InputError: the estimator is not fitted, or the samples have another number of features.
        """
        return as_kind_of(self._assign(self._checked(x))[0], x)

    def transform(self, x: Array) -> Any:
        """Return the distance of each sample to each centroid, (N, K).

        Raises:
            InputError: the estimator is not fitted, or the samples have another number of features.
        """
        data = self._checked(x)
        with full_precision(data.device):
            centroids = self._directions(self._centroids.double())
            parts = [
                torch.cdist(self._directions(rows.double()), centroids, compute_mode="donot_use_mm_for_euclid_dist")
                for rows in torch.split(data, _DISTANCE_ROWS)
            ]
            return as_kind_of(torch.cat(parts).to(data.dtype), x)

    def score(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> float:
        """Return the negative inertia of samples with the present centroids; ``y`` is ignored.

        Raises:
            InputError: the estimator is not fitted, the samples have another number of features, or the weights do not
                fit the samples.
        """
        data = self._checked(x)
        _, weights = to_samples(x, sample_weight)
        distances = self._assign(data)[1]
        return -float((distances if weights is None else distances * weights).sum())

    def _assign(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labels of samples, (N,), and their contributions to the inertia, (N,), float64."""
        with full_precision(data.device):
            samples = prepare(data, None, None, spherical=self.spherical)
            centroids = self._directions(samples.project(self._centroids))
            labels = torch.zeros(1, len(data), dtype=torch.int32, device=data.device)
            assign_(samples.x, samples.norms, centroids.unsqueeze(0), labels)
            inertia = own_distances(samples.x, centroids, labels[0])
            scaled = inertia / 2 if self.spherical else inertia / samples.scale / samples.scale
            return labels[0].to(torch.int64), scaled

    def _directions(self, points: Tensor) -> Tensor:
        """Scale points to unit length if k-means is spherical; else return them unchanged."""
        return torch.nn.functional.normalize(points, dim=1, eps=0.0) if self.spherical else points

    def _checked(self, x: Array) -> Tensor:
        """Return samples as a tensor; raise if there are no centroids or their number of features differs."""
        if not self.is_fitted:
            raise InputError(f"this {type(self).__name__} has no centroids yet; call fit first")
        data, _ = to_samples(x, None)
        self._check_width(data)
        return data

    def _check_width(self, data: Tensor) -> None:
        if data.shape[1] != self.n_features_in_:
            raise InputError(f"x has {data.shape[1]} features, but fit has seen {self.n_features_in_}")

    def _set_centroids(self, centroids: Tensor) -> None:
        self._centroids = centroids
        self.n_features_in_ = centroids.shape[1]

    def _set_results(self, x: Array, labels: Tensor, inertia: float) -> None:
        """Set the attributes that describe the result, as tensors or arrays like ``x``."""
        self.cluster_centers_ = as_kind_of(self._centroids, x)
        self.labels_ = as_kind_of(labels, x)
        self.inertia_ = inertia


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
        super().__init__()
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
        data, weights = to_samples(x, sample_weight)
        result = kmeans(
            data,
            self.n_clusters,
            n_init=self.n_init,
            init=as_init(self.init),
            max_iter=self.max_iter,
            tol=self.tol,
            sample_weight=weights,
            spherical=self.spherical,
            generator=torch.Generator().manual_seed(self.seed),
        )
        self._set_centroids(result.centroids)
        self.n_iter_ = result.n_iter
        self._set_results(x, result.labels, result.inertia)
        return self


def to_samples(x: Array, sample_weight: Array | None) -> tuple[Tensor, Tensor | None]:
    """Return samples, (N, D), float32 or float64, and their weights, (N,), float64, as tensors.

    Raises:
        InputError: ``x`` is not a matrix of numbers, or the weights do not fit the samples.
    """
    data = as_float(x if isinstance(x, Tensor) else _from_numpy(x, "x"))
    if sample_weight is None:
        return data, None
    weights = sample_weight if isinstance(sample_weight, Tensor) else _from_numpy(sample_weight, "sample_weight")
    return data, as_weights(weights, data)


def as_init(init: Initialisation) -> Any:
    """Return the name of a seeding unchanged, and centroids as a tensor."""
    return init if isinstance(init, str | Tensor) else _from_numpy(init, "init")


def as_kind_of(result: Tensor, x: Array) -> Any:
    """Return a result as a tensor if ``x`` is one, else as a NumPy array."""
    return result if isinstance(x, Tensor) else result.cpu().numpy()


def _from_numpy(x: Array, name: str) -> Tensor:
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} of k-means holds {array.dtype}; give numbers")
    if (array.dtype.kind == "f" and array.dtype.itemsize > 8) or array.dtype.byteorder == ">":
        array = array.astype(np.float64)
    writeable = array.flags.writeable and all(stride > 0 for stride in array.strides)
    return torch.from_numpy(array if writeable else array.copy())
