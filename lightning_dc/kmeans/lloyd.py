"""Exact k-means: Lloyd's iterations, with all restarts in parallel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE, world
from lightning_dc.errors import InputError
from lightning_dc.kmeans import native
from lightning_dc.kmeans.blocks import rows_at_a_time
from lightning_dc.kmeans.nearest import assign_, own_distances
from lightning_dc.kmeans.owned_samples import (
    OwnedSamples,
    check_arguments,
    largest_magnitude,
    power_of_two_scale,
    prepare,
)
from lightning_dc.kmeans.precision import full_precision
from lightning_dc.kmeans.seeding import plusplus_seeds, random_seeds

N_INIT = 20
"""Default number of restarts, the same as in DEC (https://arxiv.org/abs/1511.06335)."""

_LABELS_TOGETHER = 1 << 28  # labels held at a time: 2 GiB, including those before an iteration
_MOVE_ELEMENTS = 1 << 18  # float64 elements held at a time on a CPU: 2 MiB, so that they fit into the cache
_EQUAL_INERTIA = 1e-10  # relative difference up to which inertias count as equal; then the first restart wins
_REBUILD_EVERY = 50  # iterations after which sums are recomputed from the labels
_LARGEST_DRIFT = 1e-9  # relative to norm + spread; a restart ends only if recomputed sums move no centroid further


class KMeansResult(NamedTuple):
    """Result of the best of all restarts.

    Attributes:
        centroids: centroids, (K, D), dtype of the data.
        labels: nearest centroid of each sample, (N,), int64; on a tie, the one with the lower number.
        inertia: sum of weight times squared distance to the nearest centroid. In spherical k-means, sum of weight times
            (1 - cosine), which is half the squared distance on the unit sphere.
        n_iter: number of iterations of the best restart.
    """

    centroids: Tensor
    labels: Tensor
    inertia: float
    n_iter: int


def kmeans(
    x: Tensor,
    n_clusters: int,
    *,
    n_init: int = N_INIT,
    init: Literal["k-means++", "random"] | Tensor = "k-means++",
    max_iter: int = 300,
    tol: float = 1e-4,
    sample_weight: Tensor | None = None,
    spherical: bool = False,
    n_total: int | None = None,
    generator: torch.Generator | None = None,
) -> KMeansResult:
    """Cluster samples by exact k-means (Lloyd 1982) and return the best of several restarts.

    Labels follow exact distances: where rounding leaves open which centroid is nearest, float64 decides. A cluster that
    loses all its samples takes the sample that is farthest from its centroid, as in scikit-learn.

    Args:
        x: samples, (N, D), float; computations use at least float32.
        n_clusters: K, between 1 and N.
        n_init: number of restarts.
        init: how to choose the first centroids: greedy k-means++, distinct random samples, or given centroids, (K, D),
            or (R, K, D) for R restarts, which replaces ``n_init``.
        max_iter: largest number of iterations of a restart; 0 only assigns the samples to the first centroids.
        tol: a restart has converged when the squared shift of its centroids is at most this share of the mean variance
            of the features, or when no label changes (the rule of scikit-learn).
        sample_weight: weights of the samples, (N,), not negative; None gives every sample the weight 1. Sums are in
            float64, so a weight below 1e-16 of the weight of its cluster is lost to rounding.
        spherical: cluster by direction (Dhillon and Modha 2001): samples and centroids are scaled to unit length.
        n_total: number of samples on all processes, if each process passes only its own rows, as listed by
            :func:`~lightning_dc.distributed.owned_rows` and in that order. Every process then gets the same centroids,
            inertia and number of iterations, and the labels of its own rows.
        generator: random numbers that choose the first centroids, in the same state on all processes; None creates a
            generator with seed 0.

    Raises:
        InputError: there are too few samples, an argument is out of range, ``init`` has another shape, the weights do
            not fit, fewer samples have a positive weight than random seeds are drawn, values are not finite, a sample
            has no direction in spherical k-means, or one of these is true on another process that shares the data.
    """
    with full_precision(x.device):

        def check(n_samples: int, n_features: int) -> None:
            check_arguments(n_samples, n_clusters, n_init)
            if max_iter < 0:
                raise InputError(f"max_iter={max_iter} must be at least 0")
            _check_init(init, n_clusters, n_features)

        starts = init.detach().to(torch.float64) if isinstance(init, Tensor) else None
        samples = prepare(x, sample_weight, n_total, spherical=spherical, check=check, points=starts)
        if starts is not None:
            given = samples.project(starts).view(-1, n_clusters, samples.x.shape[1])
            given = given * power_of_two_scale(largest_magnitude(given), given.dtype) if spherical else given
            seeds = _at_unit_length(given, given) if spherical else given
        else:
            seeding = plusplus_seeds if init == "k-means++" else random_seeds
            seeds = seeding(samples, n_clusters, n_init, generator)
        together = max(1, _LABELS_TOGETHER // max(1, len(samples.x)))
        best: _Restarts | None = None
        for several in torch.split(seeds, together):
            restarts = _Restarts(samples, several, spherical=spherical)
            restarts.run(max_iter, tol * samples.variance)
            restarts.keep_best(best)
            best = restarts
        assert best is not None
        labels = best.labels[0].to(torch.int64)
        inertia = best.inertia[0]
        inertia = inertia / 2 if spherical else inertia / samples.scale / samples.scale
        centroids = samples.restore(best.centroids[0])
        return KMeansResult(centroids, labels, inertia, int(best.n_iter[0]))


def _check_init(init: str | Tensor, n_clusters: int, n_features: int) -> None:
    if isinstance(init, Tensor):
        if init.ndim not in (2, 3) or init.shape[-2:] != (n_clusters, n_features) or len(init) == 0:
            raise InputError(f"init of k-means has shape {tuple(init.shape)}; give ({n_clusters}, {n_features})")
        if not bool(torch.isfinite(init).all()):
            raise InputError("init of k-means holds NaN or infinite values; give finite centroids")
    elif init not in ("k-means++", "random"):
        raise InputError(f"init={init!r} of k-means must be 'k-means++', 'random' or a tensor of centroids")


class _Restarts:
    """Several restarts that are computed in parallel.

    Sums and counts are kept in float64 and follow the labels: an iteration adds and subtracts only the samples whose
    label has changed. When much larger samples leave a sum, their rounding errors stay in it. So sums are recomputed
    from the labels before a restart ends, and every ``_REBUILD_EVERY`` iterations.

    Active restarts come first, so that an iteration works on views of the tensors.

    Attributes:
        numbers: position of each restart in the order of the seeds.
        centroids: centroids, (R, K, D), float64, in units of the prepared samples.
        labels: labels of this process's rows, (R, n), int32.
        n_iter: number of iterations, (R,).
        inertia: inertia of each restart, from differences in float64; set by ``run``.
    """

    inertia: list[float]

    def __init__(self, samples: OwnedSamples, seeds: Tensor, *, spherical: bool) -> None:
        n_restarts, n_clusters, n_features = seeds.shape
        n_rows, device = len(samples.x), samples.x.device
        self._samples = samples
        self._spherical = spherical
        self.numbers = list(range(n_restarts))
        self.centroids = seeds.clone()
        self.labels = torch.full((n_restarts, n_rows), n_clusters, dtype=torch.int32, device=device)
        self._before = torch.empty_like(self.labels)  # reused: allocating it would take longer than filling it
        self.n_iter = torch.zeros(n_restarts, dtype=torch.int64)
        self._is_exact = [True] * n_restarts  # nothing has been subtracted since the sums were computed
        # Row K belongs to samples without a label.
        self._totals = torch.zeros(n_restarts, n_clusters + 1, n_features + 1, dtype=torch.float64, device=device)

    def run(self, max_iter: int, threshold: float) -> None:
        """Iterate until every restart has converged; then assign the samples to the last centroids."""
        n_active = len(self.numbers)
        spread = self._samples.variance**0.5
        for number in range(1, max_iter + 1):
            n_changed = self._assign(n_active)
            for r, changed in enumerate(n_changed):
                self._is_exact[r] &= changed == 0 or number == 1
            if number % _REBUILD_EVERY == 0:
                self._rebuild(range(n_active))
            new = self._new_centroids(slice(n_active))
            distances = (new - self.centroids[:n_active]).square_().sum(2).sqrt_()
            ends = self._converged(distances, n_changed, threshold)
            for r in range(n_active):
                if self._is_exact[r] or not (ends[r] or number == max_iter):
                    continue
                self._rebuild([r])
                one = slice(r, r + 1)
                exact = self._new_centroids(one)
                drifted = (exact - new[one]).norm(dim=2) > _LARGEST_DRIFT * (exact.norm(dim=2) + spread)
                new[one] = exact
                distances[one] = (exact - self.centroids[one]).square_().sum(2).sqrt_()
                ends[r] = self._converged(distances[one], n_changed[one], threshold)[0] and not bool(drifted.any())
            self.centroids[:n_active] = new
            self.n_iter[:n_active] += 1
            if any(ends):
                going_on = [r for r in range(n_active) if not ends[r]]
                self._reorder([*going_on, *(r for r in range(len(self.numbers)) if r not in going_on)])
                n_active = len(going_on)
            if n_active == 0:
                break
        self._assign(len(self.numbers))
        self.inertia = self._inertia()

    @staticmethod
    def _converged(distances: Tensor, n_changed: list[int], threshold: float) -> list[bool]:
        """Return for each restart whether it has converged, given the shifts of its centroids, (R, K)."""
        shifts = distances.square().sum(1).tolist()
        return [shift <= threshold or changed == 0 for shift, changed in zip(shifts, n_changed, strict=True)]

    def _rebuild(self, restarts: Iterable[int]) -> None:
        """Recompute the sums and counts of some restarts from the labels."""
        for r in restarts:
            if not self._is_exact[r]:
                self._is_exact[r] = True
                labels = self.labels[r : r + 1]
                nowhere = torch.full_like(labels, self.centroids.shape[1])
                move_rows_(self._samples, nowhere, labels, self._totals[r : r + 1].zero_())

    def _reorder(self, order: list[int]) -> None:
        self.numbers = [self.numbers[r] for r in order]
        self._is_exact = [self._is_exact[r] for r in order]
        self.centroids, self.n_iter = self.centroids[order], self.n_iter[order]
        self.labels, self._totals = self.labels[order], self._totals[order]

    def keep_best(self, other: _Restarts | None) -> None:
        """Keep only the restart of lowest inertia, those of ``other`` included; the first one if several are equal."""
        limit = min(self.inertia) * (1 + _EQUAL_INERTIA)
        best = min((r for r, inertia in enumerate(self.inertia) if inertia <= limit), key=self.numbers.__getitem__)
        if other is not None and other.inertia[0] <= self.inertia[best] * (1 + _EQUAL_INERTIA):
            self.centroids, self.labels = other.centroids, other.labels
            self.n_iter, self.inertia = other.n_iter, other.inertia
            return
        self.centroids, self.labels = self.centroids[best : best + 1], self.labels[best : best + 1]
        self.n_iter, self.inertia = self.n_iter[best : best + 1], self.inertia[best : best + 1]

    def _inertia(self) -> list[float]:
        """Return sums of weight times squared distance, from differences: far outliers must not hide other samples."""
        samples = self._samples
        sums = torch.zeros(len(self.centroids), samples.n_chunks, dtype=torch.float64, device=samples.x.device)
        for r, (centroids, labels) in enumerate(zip(self.centroids, self.labels, strict=True)):
            values = own_distances(samples.x, centroids, labels)
            if samples.weights is not None:
                values *= samples.weights
            sums[r] = samples.per_chunk(values.unsqueeze(0))[0]
        inertia: list[float] = samples.sum_(sums).sum(1).tolist()
        return inertia

    # ---- assignment ------------------------------------------------------------------------------------------------

    def _assign(self, n_active: int) -> list[int]:
        """Update labels, sums and counts of the active restarts, and return how many labels of each have changed."""
        samples, labels = self._samples, self.labels[:n_active]
        before = self._before[:n_active].copy_(labels)
        assign_(samples.x, samples.norms, self.centroids[:n_active], labels)
        n_changed: list[int] = samples.sum_(move_rows_(samples, before, labels, self._totals[:n_active])).tolist()
        return n_changed

    # ---- update ----------------------------------------------------------------------------------------------------

    def _new_centroids(self, restarts: slice) -> Tensor:
        """Return the means of the clusters of some restarts, (R', K, D)."""
        own = self._totals[restarts]
        totals = self._samples.sum_(own.clone())[:, :-1]
        old = self.centroids[restarts]
        sums, counts = totals[:, :, :-1], totals[:, :, -1]
        labels = self.labels[restarts]
        empty = self._empty_clusters(labels, counts)
        clusters_of: dict[int, list[int]] = {}  # empty ones by restart
        for i, k in empty.nonzero().tolist():
            own[i, k] = 0.0  # rounding errors may have remained
            sums[i, k] = 0.0
            clusters_of.setdefault(i, []).append(k)
        for i, clusters in clusters_of.items():
            self._repair(old[i], labels[i], sums[i], counts[i], torch.tensor(clusters, device=sums.device))
        means = torch.where(counts.unsqueeze(2) > 0, sums / torch.where(counts > 0, counts, 1.0).unsqueeze(2), old)
        return _at_unit_length(means, old) if self._spherical else means

    def _empty_clusters(self, labels: Tensor, counts: Tensor) -> Tensor:
        """Find clusters without a sample of positive weight, (R', K); rounding errors are removed from ``counts``."""
        if self._samples.weights is None:
            counts.round_()
            return counts == 0
        n_members = torch.zeros_like(counts)
        positive = (self._samples.weights > 0).double()
        for members, own in zip(n_members, labels, strict=True):
            members.index_add_(0, own, positive)
        empty = self._samples.sum_(n_members) == 0
        counts.masked_fill_(empty, 0.0)
        return empty

    def _repair(self, centroids: Tensor, labels: Tensor, sums: Tensor, counts: Tensor, empty: Tensor) -> None:
        """Give each empty cluster of a restart one of the samples farthest from their centroids, in place.

        The farthest sample goes to the empty cluster with the lowest number; equally far samples are taken in the order
        of the data. As in scikit-learn, the sample is removed from the mean of its previous cluster, and nothing
        changes if all samples lie on their centroids.
        """
        samples, n_empty = self._samples, len(empty)
        n_features = samples.x.shape[1]
        distances = own_distances(samples.x, centroids, labels)
        if samples.weights is not None:
            distances.masked_fill_(samples.weights == 0, -1.0)
        far = distances.argsort(descending=True, stable=True)[:n_empty]
        rank, world_size = world() if samples.shared else (0, 1)
        # Columns: distance, number, label, weight and features of each candidate. A process without samples adds none.
        table = torch.zeros(world_size, n_empty, 4 + n_features, dtype=torch.float64, device=samples.x.device)
        table[rank, :, 0] = -1.0
        if len(far) > 0:
            own = table[rank, : len(far)]
            own[:, 0] = distances[far]
            own[:, 1] = self._numbers_in_data(far)
            own[:, 2] = labels[far]
            own[:, 3] = 1.0 if samples.weights is None else samples.weights[far]
            own[:, 4:] = samples.x[far]
        candidates = samples.sum_(table).flatten(0, 1)
        candidates = candidates[candidates[:, 1].argsort(stable=True)]
        candidates = candidates[candidates[:, 0].argsort(descending=True, stable=True)][:n_empty]
        candidates = candidates[candidates[:, 0] > 0]
        empty = empty[: len(candidates)]
        label, weight = candidates[:, 2].to(torch.int64), candidates[:, 3]
        taken = candidates[:, 4:] * weight.unsqueeze(1)
        sums.index_add_(0, label, taken, alpha=-1.0)
        counts.index_add_(0, label, weight, alpha=-1.0)
        sums[empty], counts[empty] = taken, weight

    def _numbers_in_data(self, rows: Tensor) -> Tensor:
        """Return the numbers that rows of this process have in the whole data."""
        samples = self._samples
        starts = torch.tensor([chunk.start for chunk in samples.chunks], device=rows.device)
        chunk = torch.searchsorted(starts, rows, right=True) - 1
        return samples.chunk_numbers.to(rows.device)[chunk] * CHUNK_SIZE + rows - starts[chunk]


def _at_unit_length(centroids: Tensor, fallback: Tensor) -> Tensor:
    """Scale centroids to unit length, and replace centroids without a direction by those of ``fallback``."""
    norms = centroids.norm(dim=-1, keepdim=True)
    return torch.where(norms > 0, centroids / norms.clamp_min(1e-300), fallback)


def move_rows_(samples: OwnedSamples, before: Tensor, after: Tensor, totals: Tensor) -> Tensor:
    """Subtract rows from the sums of their previous clusters and add them to the sums of their new clusters.

    Args:
        samples: rows with their weights.
        before: previous clusters, (R, n), int32; K stands for no cluster.
        after: new clusters, (R, n), int32.
        totals: sums of the rows, with sums of the weights in the last column, (R, K + 1, D + 1), float64, contiguous;
            written to. Row K is never read.

    Returns:
        Number of rows whose cluster has changed, (R,), int64.
    """
    x, weights = samples.x, samples.weights
    if native.is_native(x):
        return native.move_rows_(x, weights, before, after, totals)
    moved = before != after
    restarts, rows = moved.nonzero(as_tuple=True)  # of all restarts at once, since a GPU waits at each search
    sums, n_clusters = totals.view(-1, totals.shape[2]), totals.shape[1]
    n_rows = min(max(1, len(rows)), rows_at_a_time(x.device, totals.shape[2], _MOVE_ELEMENTS))
    terms = torch.ones(n_rows, totals.shape[2], dtype=torch.float64, device=x.device)
    for r, some in zip(torch.split(restarts, n_rows), torch.split(rows, n_rows), strict=True):
        part = terms[: len(some)]
        part[:, :-1] = x.index_select(0, some)
        part[:, -1] = 1.0
        if weights is not None:
            part *= weights.index_select(0, some).unsqueeze(1)
        sums.index_add_(0, r * n_clusters + after[r, some], part)
        sums.index_add_(0, r * n_clusters + before[r, some], part, alpha=-1.0)
    return moved.sum(1)
