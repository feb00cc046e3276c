"""K-means as a class in scikit-learn's manner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.kmeans.lloyd import N_INIT, kmeans
from lightning_dc.kmeans.nearest import assign_, own_distances
from lightning_dc.kmeans.samples import as_float, as_weights, full_precision, prepare

Array = Any
"""A tensor, or anything that NumPy makes a matrix of."""

Initialisation = Literal["k-means++", "random"] | Array
"""A name, or centroids."""

_Self = TypeVar("_Self", bound="Centroids")
_DISTANCE_ROWS = 8192  # rows whose distances to all centroids are computed at a time


class Centroids(ABC):
    """What has centroids once it is fitted. Results come as tensors for tensors, and as NumPy arrays for all else.

    Attributes:
        cluster_centers_: centroids, (K, D).
        labels_: cluster of each sample, (N,), int64.
        inertia_: sum of weight times squared distance of the samples to their centroids.
        n_iter_: iterations.
        n_features_in_: D.
        spherical: samples are compared by direction.
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
        """Whether there are centroids."""
        return hasattr(self, "_centroids")

    @abstractmethod
    def fit(self: _Self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> _Self:
        """Cluster samples, (N, D), with weights, (N,); ``y`` is ignored, as in scikit-learn."""

    def fit_predict(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> Any:
        """Fit, and return the cluster of each sample, (N,)."""
        return self.fit(x, sample_weight=sample_weight).labels_

    def predict(self, x: Array) -> Any:
        """Nearest centroid of each sample, (N,), int64; the lower number on a tie.

        Raises:
            InputError: not fitted, or samples of another width.
        """
        return like(self._assign(self._known(x))[0], x)

    def transform(self, x: Array) -> Any:
        """Distance of each sample to each centroid, (N, K).

        Raises:
            InputError: not fitted, or samples of another width.
        """
        data = self._known(x)
        with full_precision(data.device):
            centroids = self._directions(self._centroids.double())
            parts = [
                torch.cdist(self._directions(rows.double()), centroids, compute_mode="donot_use_mm_for_euclid_dist")
                for rows in torch.split(data, _DISTANCE_ROWS)
            ]
            return like(torch.cat(parts).to(data.dtype), x)

    def score(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> float:
        """Minus the inertia that samples would have; ``y`` is ignored.

        Raises:
            InputError: not fitted, samples of another width, or weights that do not fit.
        """
        data = self._known(x)
        _, weights = to_samples(x, sample_weight)
        distances = self._assign(data)[1]
        return -float((distances if weights is None else distances * weights).sum())

    def _assign(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """Labels of samples, (N,), and their contributions to the inertia, (N,), float64."""
        with full_precision(data.device):
            samples = prepare(data, None, None, spherical=self.spherical)
            centroids = self._directions(samples.project(self._centroids))
            labels = torch.zeros(1, len(data), dtype=torch.int32, device=data.device)
            assign_(samples.x, samples.norms, centroids.unsqueeze(0), labels)
            inertia = own_distances(samples.x, centroids, labels[0])
            scaled = inertia / 2 if self.spherical else inertia / samples.scale / samples.scale
            return labels[0].to(torch.int64), scaled

    def _directions(self, points: Tensor) -> Tensor:
        """Points at unit length if that is how they are compared."""
        return torch.nn.functional.normalize(points, dim=1, eps=0.0) if self.spherical else points

    def _known(self, x: Array) -> Tensor:
        """Samples to apply the centroids to."""
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

    def _report(self, x: Array, labels: Tensor, inertia: float) -> None:
        """Set the attributes, in the kind of ``x``."""
        self.cluster_centers_ = like(self._centroids, x)
        self.labels_ = like(labels, x)
        self.inertia_ = inertia


class KMeans(Centroids):
    """Exact k-means with the interface of scikit-learn's class; see :func:`~lightning_dc.kmeans.kmeans`.

    Args:
        n_clusters: K.
        init: "k-means++", "random", or centroids to start from, (K, D).
        n_init: restarts, of which the best counts; only one with given centroids.
        max_iter: most iterations of a restart.
        tol: share of the mean variance of the features that the centroids' squared shift must not exceed at the end.
        spherical: cluster by direction; the inertia is then the sum of weight times (1 - cosine).
        seed: of the seeding. No global random numbers are used.

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
            InputError: too few samples, values that are not finite, or weights or ``init`` that do not fit.
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
        self._report(x, result.labels, result.inertia)
        return self


def to_samples(x: Array, sample_weight: Array | None) -> tuple[Tensor, Tensor | None]:
    """Samples, (N, D), float32 or float64, and their weights, (N,), float64, as tensors.

    Raises:
        InputError: not a matrix of numbers, or weights that do not fit.
    """
    data = as_float(x if isinstance(x, Tensor) else _from_numpy(x, "x"))
    if sample_weight is None:
        return data, None
    weights = sample_weight if isinstance(sample_weight, Tensor) else _from_numpy(sample_weight, "sample_weight")
    return data, as_weights(weights, data)


def as_init(init: Initialisation) -> Any:
    """A name, or centroids as a tensor."""
    return init if isinstance(init, str | Tensor) else _from_numpy(init, "init")


def like(result: Tensor, x: Array) -> Any:
    """A result as a tensor if ``x`` is one, else as a NumPy array."""
    return result if isinstance(x, Tensor) else result.cpu().numpy()


def _from_numpy(x: Array, name: str) -> Tensor:
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} of k-means holds {array.dtype}; give numbers")
    if (array.dtype.kind == "f" and array.dtype.itemsize > 8) or array.dtype.byteorder == ">":
        array = array.astype(np.float64)
    writeable = array.flags.writeable and all(stride > 0 for stride in array.strides)
    return torch.from_numpy(array if writeable else array.copy())
