"""What exact k-means and k-means on mini-batches have in common once they have centroids."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from lightning_dc.kmeans.arrays import Array, Rows, as_kind_of, to_rows, to_weights
from lightning_dc.kmeans.blocks import rows_at_a_time
from lightning_dc.kmeans.nearest import assign_, own_distances
from lightning_dc.kmeans.owned_samples import (
    largest_magnitude,
    not_finite_error,
    power_of_two_scale,
    prepare,
    unit_rows,
)
from lightning_dc.kmeans.precision import full_precision
from lightning_dc.kmeans.scikit_learn import ScikitLearnClusterer, warn_of_convergence

_Self = TypeVar("_Self", bound="CentroidEstimator")
_DISTANCES = 1 << 23  # numbers of rows and distances held at a time on a CPU


class CentroidEstimator(ScikitLearnClusterer, ABC):
    """Base class of estimators that have centroids after ``fit``.

    Samples are anything that scikit-learn takes, sparse matrices included, or tensors. Results are tensors if the
    samples are a tensor, and NumPy arrays otherwise.

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
    spherical: bool = False
    _centroids: Tensor

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

    def fit_transform(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> Any:
        """Fit, and return the distance of each sample to each centroid, (N, K)."""
        return self.fit(x, sample_weight=sample_weight).transform(x)

    def predict(self, x: Array) -> Any:
        """Return the nearest centroid of each sample, (N,), int64; on a tie, the one with the lower number.

        Raises:
            InputError: the estimator is not fitted, the samples have another number of features, or values are not
                finite.
        """
        return as_kind_of(self._assign(self._checked(x))[0], x)

    def transform(self, x: Array) -> Any:
        """Return the distance of each sample to each centroid, (N, K).

        Raises:
            InputError: the estimator is not fitted, the samples have another number of features, or values are not
                finite.
        """
        data = self._checked(x)
        n_rows = rows_at_a_time(data.device, sum(self._centroids.shape), _DISTANCES)
        with full_precision(data.device):
            centroids = self._centroids.to(data.device, torch.float64)
            starts = range(0, max(1, len(data)), n_rows)
            parts = [self._distances(data[start : start + n_rows], centroids) for start in starts]
            return self._in_output_form(as_kind_of(torch.cat(parts).to(data.dtype), x), x)

    def score(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> float:
        """Return the negative inertia of samples with the present centroids; ``y`` is ignored.

        Raises:
            InputError: the estimator is not fitted, the samples have another number of features, values are not finite,
                or the weights do not fit the samples.
        """
        data = self._checked(x)
        weights = to_weights(sample_weight, data)
        distances = self._assign(data)[1]
        return -float((distances if weights is None else distances * weights).sum())

    def _assign(self, data: Rows) -> tuple[Tensor, Tensor]:
        """Return the labels of samples, (N,), and their contributions to the inertia, (N,), float64."""
        if isinstance(data, Tensor):
            return self._assign_dense(data)
        labels, distances = zip(*map(self._assign_dense, data.blocks()), strict=True)
        return torch.cat(labels), torch.cat(distances)

    def _assign_dense(self, data: Tensor) -> tuple[Tensor, Tensor]:
        labels, squares, scale = self._search(data)
        return labels, squares / 2 if self.spherical else squares / scale / scale

    def _search(self, data: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return the labels of samples, (N,), their squared distances, (N,), float64, and the scale of distances."""
        with full_precision(data.device):
            samples = prepare(data, None, None, spherical=self.spherical, points=self._centroids)
            centroids = samples.project(self._centroids)
            centroids = unit_rows(centroids) if self.spherical else centroids
            labels = torch.zeros(1, len(data), dtype=torch.int32, device=data.device)
            assign_(samples.x, samples.norms, centroids.unsqueeze(0), labels)
            squares = own_distances(samples.x, centroids, labels[0])
            return labels[0].to(torch.int64), squares, samples.scale

    def _distances(self, rows: Tensor, centroids: Tensor) -> Tensor:
        """Return the distances of rows, (n, D), to centroids, (K, D), float64, in a scale that keeps their squares."""
        rows = rows.double()
        largest = largest_magnitude(rows)
        if not math.isfinite(largest):
            raise not_finite_error()
        if self.spherical:
            return _euclidean(unit_rows(rows), unit_rows(centroids))
        scale = power_of_two_scale(largest, torch.float64, largest_magnitude(centroids))
        return _euclidean(rows * scale, centroids * scale) / scale

    def _checked(self, x: Array) -> Rows:
        """Return samples; raise if there are no centroids or if their features differ from those of ``fit``."""
        self._check_is_fitted()
        data = to_rows(x)
        self._check_features(x, data.shape[1], reset=False)
        return data

    def _set_results(self, x: Array, labels: Tensor, inertia: float) -> None:
        """Set the attributes that describe the result, as tensors or arrays like ``x``."""
        self.cluster_centers_ = as_kind_of(self._centroids, x)
        self.labels_ = as_kind_of(labels, x)
        self.inertia_ = inertia

    def _warn_of_empty_clusters(self, labels: Tensor) -> None:
        """Warn if fewer clusters have samples than there should be, as scikit-learn does."""
        n_found = len(torch.unique(labels))
        if n_found < self.n_clusters:
            warn_of_convergence(
                f"only {n_found} of n_clusters={self.n_clusters} clusters have samples; there are perhaps fewer "
                "distinct samples than clusters"
            )


def _euclidean(rows: Tensor, points: Tensor) -> Tensor:
    return torch.cdist(rows, points, compute_mode="donot_use_mm_for_euclid_dist")
