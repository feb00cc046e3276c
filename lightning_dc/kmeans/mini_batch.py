"""K-means on mini-batches, for data that arrive as a stream."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.distributed import sum_
from lightning_dc.errors import InputError
from lightning_dc.kmeans.arrays import Array, Rows, as_init, magnitude, mean_variance, to_rows, to_weights
from lightning_dc.kmeans.centroid_estimator import CentroidEstimator
from lightning_dc.kmeans.estimator import Initialisation
from lightning_dc.kmeans.lloyd import kmeans
from lightning_dc.kmeans.owned_samples import check_arguments, power_of_two_scale
from lightning_dc.kmeans.precision import full_precision

_SEEDING_BATCHES = 3  # number of batches whose samples give the first centroids, as in scikit-learn
_REASSIGN_EVERY = 10  # centroids are checked after this many samples for each cluster


@torch.no_grad()
def counted_update_(
    centroids: Tensor,
    counts: Tensor,
    x: Tensor,
    labels: Tensor,
    sample_weight: Tensor | None = None,
    *,
    distributed: bool = False,
) -> None:
    """Move centroids to the running mean of all samples that they have received, in place.

    Each sample of a batch moves its centroid by the fraction 1 / count of the difference, where the count includes the
    sample (Sculley 2010, algorithm 1; the centroid update of DCN, https://arxiv.org/abs/1610.04794). If the n_k samples
    of cluster k are applied one after another, the result is c_k + sum(x_i - c_k) / (count_k + n_k) in any order; this
    function computes that sum directly.

    Args:
        centroids: (K, D), float; written to.
        counts: number of samples, or their weight, that each centroid has received, (K,); written to. In float64 the
            counts are exact.
        x: samples, (B, D).
        labels: cluster of each sample, (B,), int64.
        sample_weight: weights of the samples, (B,); None is 1 for each.
        distributed: the batch is spread over processes, which all hold the same centroids and counts.
    """
    with full_precision(x.device):
        n_clusters, n_features = centroids.shape
        sums = torch.zeros(n_clusters, n_features + 1, dtype=torch.float64, device=x.device)
        terms = torch.ones(len(x), n_features + 1, dtype=torch.float64, device=x.device)
        terms[:, :-1] = x.detach().double() - centroids.double()[labels]
        if sample_weight is not None:
            terms *= sample_weight.detach().double().unsqueeze(1)
        sums.index_add_(0, labels.to(torch.int64), terms)
        if distributed:
            sum_(sums)
        total = counts.double() + sums[:, -1]
        centroids.copy_(centroids.double() + sums[:, :-1] / torch.where(total > 0, total, 1.0).unsqueeze(1))
        counts.copy_(total)


class MiniBatchKMeans(CentroidEstimator):
    """K-means on mini-batches (Sculley 2010) with the attributes of scikit-learn's class.

    A centroid is the running mean of the samples that it has received. Centroids with less than a hundredth of the
    largest count move to the samples of the batch that are farthest from their centroids. The check happens as often
    as in scikit-learn, but the choice is not random.

    Args:
        n_clusters: K.
        init: how the first centroids are found in the first samples: "k-means++", "random", or centroids, (K, D).
        n_init: number of restarts of this search; 3, as in scikit-learn, since it only chooses where to start.
        batch_size: number of samples in a batch of ``fit``.
        max_iter: largest number of passes of ``fit`` over the data.
        tol: ``fit`` ends when the summed squared shift of the centroids in a pass is at most this share of the mean
            variance of the features.
        reassignment_ratio: share of the largest count below which a centroid is moved; 0 never moves one.
        seed: seed of the order of the samples and of the first centroids.

    Attributes:
        cluster_centers_: centroids, (K, D).
        labels_: cluster of each sample of ``fit``, (N,), or of the last ``partial_fit``.
        inertia_: sum of weight times squared distance of these samples to their centroids.
        n_iter_: number of passes over the data.
        n_steps_: number of batches so far.
        counts_: number of samples, or their weight, that each centroid has received, (K,), float64.
        n_features_in_: number of features D.
    """

    counts_: Tensor
    n_steps_: int
    _since_check: float

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Initialisation = "k-means++",
        n_init: int = 3,
        batch_size: int = 1024,
        max_iter: int = 100,
        tol: float = 1e-4,
        reassignment_ratio: float = 0.01,
        seed: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.reassignment_ratio = reassignment_ratio
        self.seed = seed

    def fit(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> MiniBatchKMeans:
        """Cluster samples, (N, D), in several passes in random order; ``y`` is ignored, as in scikit-learn.

        Raises:
            InputError: there are too few samples, values are not finite, the weights or ``init`` do not fit, or a
                parameter is out of range.
        """
        data = to_rows(x)
        weights = to_weights(sample_weight, data)
        self._check_features(x, data.shape[1], reset=True)
        check_arguments(len(data), self.n_clusters, self.n_init)
        self._run(data, weights)
        self._warn_of_empty_clusters(self._finish(x, data, weights))
        return self

    def _run(self, data: Rows, weights: Tensor | None) -> None:
        """Take steps until the centroids have converged, in a scale in which squares neither overflow nor vanish."""
        scale = power_of_two_scale(magnitude(data), data.dtype)
        data = data if scale == 1.0 else data * scale
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(data), generator=generator).to(data.device)
        first = order[: max(_SEEDING_BATCHES * self.batch_size, 3 * self.n_clusters)]
        self._start(data[first], None if weights is None else weights[first], scale)
        threshold = self.tol * mean_variance(data)
        for n_iter in range(1, self.max_iter + 1):
            before = self._centroids.clone()
            for batch in torch.split(order, self.batch_size):
                self._step(data[batch], None if weights is None else weights[batch])
            self.n_iter_ = n_iter
            if float((self._centroids - before).double().square().sum()) <= threshold:
                break
            order = torch.randperm(len(data), generator=generator).to(data.device)
        self._centroids /= scale

    def partial_fit(self, x: Array, y: object = None, *, sample_weight: Array | None = None) -> MiniBatchKMeans:
        """Learn from one batch, (B, D).

        The first batch also gives the first centroids and needs at least K samples, unless ``init`` holds centroids,
        (K, D). Later batches may be on other devices; centroids and counts stay on the device of the first batch.

        Raises:
            InputError: as for ``fit``, or the batch has other features than the batches before.
        """
        data = to_rows(x)
        weights = to_weights(sample_weight, data)
        self._check_features(x, data.shape[1], reset=not self.is_fitted)
        if not self.is_fitted:
            self._start(data[:], weights)
        device = self._centroids.device
        self._step(data[:].to(device), None if weights is None else weights.to(device))
        self._finish(x, data, weights)
        return self

    def _check_parameters(self) -> None:
        if self.batch_size < 1 or self.max_iter < 1:
            raise InputError(f"batch_size={self.batch_size} and max_iter={self.max_iter} must be at least 1")
        if not 0 <= self.reassignment_ratio < 1:
            raise InputError(f"reassignment_ratio={self.reassignment_ratio} must lie between 0 and 1")

    def _start(self, data: Tensor, weights: Tensor | None, scale: float = 1.0) -> None:
        """Set the first centroids, and zero counts; ``init`` is multiplied by the scale of the data."""
        self._check_parameters()
        init = as_init(self.init)
        init = init if isinstance(init, str) or scale == 1.0 else init.double() * scale
        fits = isinstance(init, Tensor) and init.shape == (self.n_clusters, data.shape[1])
        if fits and bool(torch.isfinite(init).all()):  # given centroids need no minimum number of samples
            self._centroids = init.detach().to(data, copy=True)
        else:
            result = kmeans(
                data,
                self.n_clusters,
                n_init=self.n_init,
                init=init,
                max_iter=0,
                sample_weight=weights,
                generator=torch.Generator().manual_seed(self.seed),
            )
            self._centroids = result.centroids
        self.counts_ = torch.zeros(self.n_clusters, dtype=torch.float64, device=data.device)
        self.n_iter_, self.n_steps_, self._since_check = 0, 0, 0.0

    def _step(self, data: Tensor, weights: Tensor | None) -> None:
        labels, distances, _ = self._search(data)
        counted_update_(self._centroids, self.counts_, data, labels, weights)
        self.n_steps_ += 1
        self._since_check += len(data)
        if bool((self.counts_ == 0).any()) or self._since_check >= _REASSIGN_EVERY * self.n_clusters:
            self._since_check = 0.0
            self._reassign(data, distances if weights is None else distances.masked_fill(weights == 0, 0.0))

    def _reassign(self, data: Tensor, distances: Tensor) -> None:
        """Move centroids with hardly any samples to the farthest samples of the batch, at most to half of the batch.

        Samples at a distance of zero attract no centroid. Samples without weight are given this distance, too.
        """
        low = self.counts_ < self.reassignment_ratio * self.counts_.max()
        dead = self.counts_.argsort(stable=True)[: min(int(low.sum()), len(data) // 2)]
        if len(dead) == 0:
            return
        far = distances.argsort(descending=True, stable=True)[: len(dead)]
        dead, far = dead[distances[far] > 0], far[distances[far] > 0]
        self._centroids[dead] = data[far].to(self._centroids.dtype)
        others = self.counts_[~low]
        self.counts_[dead] = others.min()  # else they would move again at every check

    def _finish(self, x: Array, data: Rows, weights: Tensor | None) -> Tensor:
        """Set the results for the samples, and return their labels."""
        labels, distances = self._assign(data)
        if weights is not None:
            distances = distances * weights
        self._set_results(x, labels, float(distances.sum(dtype=torch.float64)))
        return labels
