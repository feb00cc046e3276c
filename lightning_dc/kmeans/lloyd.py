"""Exact k-means: Lloyd's iterations of all restarts side by side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE, world
from lightning_dc.errors import InputError
from lightning_dc.kmeans import native
from lightning_dc.kmeans.nearest import assign_, own_distances
from lightning_dc.kmeans.samples import Samples, check_arguments, full_precision, prepare
from lightning_dc.kmeans.seeding import plusplus_seeds, random_seeds

N_INIT = 20
"""Restarts unless said otherwise, as many as in DEC (https://arxiv.org/abs/1511.06335)."""

_LABELS_TOGETHER = 1 << 28  # labels of all restarts that are held at a time: 2 GiB, with those before an iteration
_MOVE_ELEMENTS = 1 << 18  # elements in float64 held at a time: 2 MiB, within the cache
_SAME = 1e-10  # restarts whose inertias differ by no more, relatively, count as equal, and the first one wins
_REBUILD_EVERY = 50  # iterations after which sums are made anew from the labels
_DRIFT = 1e-9  # a restart ends only if new sums move no centroid by a larger part of its norm and the spread


class KMeansResult(NamedTuple):
    """The best of all restarts.

    Attributes:
        centroids: (K, D), dtype of the data.
        labels: nearest centroid of each sample, (N,), int64; the lower number on a tie.
        inertia: sum of weight times squared distance to the nearest centroid; in spherical k-means of weight times
            (1 - cosine), which is half of that on the unit sphere.
        n_iter: iterations of the best restart.
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
    """Exact k-means (Lloyd 1982), the best of several restarts.

    Labels are those of exact distances: where rounding leaves open which centroid is nearest, float64 decides. A
    cluster that loses all its samples takes the sample that is farthest from its centroid, as in scikit-learn.

    Args:
        x: samples, (N, D), float; computed in float32 at least.
        n_clusters: K, between 1 and N.
        n_init: number of restarts.
        init: how to seed: greedy k-means++, distinct random samples, or centroids to start from, (K, D), or (R, K, D)
            for R restarts, in place of ``n_init``.
        max_iter: most iterations of a restart; 0 only labels the samples by the centroids to start from.
        tol: a restart has converged when its centroids' squared shift is at most this share of the mean variance of
            the features, or when no label changes (scikit-learn's rule).
        sample_weight: weights of the samples, (N,), zero or more; None is 1 for each. Sums are in float64: a weight
            below 1e-16 of its cluster's is lost in them, as in any sum.
        spherical: cluster by direction (Dhillon and Modha 2001): samples and centroids are scaled to unit length.
        n_total: samples of all processes, if each process gives only its own rows: those that
            :func:`~lightning_dc.distributed.owned_rows` names, in that order. Every process then gets the same
            centroids, inertia and iterations, and the labels of its own rows.
        generator: random numbers of the seeding, the same on all processes; None is a new one with seed 0.

    Raises:
        InputError: too few samples, an argument out of range, an ``init`` of another shape, weights that do not fit,
            fewer samples of positive weight than random seeds to draw, values that are not finite, samples without a
            direction in spherical k-means, or any of these on another process that shares the data.
    """
    with full_precision(x.device):

        def check(n_samples: int, n_features: int) -> None:
            check_arguments(n_samples, n_clusters, n_init)
            if max_iter < 0:
                raise InputError(f"max_iter={max_iter} must be at least 0")
            _check_init(init, n_clusters, n_features)

        samples = prepare(x, sample_weight, n_total, spherical=spherical, check=check)
        if isinstance(init, Tensor):
            given = samples.project(init.detach()).view(-1, n_clusters, samples.x.shape[1])
            seeds = _unit(given, given) if spherical else given
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
    """Restarts that run side by side.

    Sums and counts are kept in float64 and follow the labels: an iteration adds and takes away only samples whose label
    has changed. What a sum of much larger samples leaves behind when they go is rounding, so that sums are made anew
    from the labels before a restart ends, and every so many iterations.

    Those that go on come first: what an iteration works on are views.

    Attributes:
        numbers: place of each restart among those that were asked for.
        centroids: (R, K, D), float64, in units of the samples.
        labels: of this process's rows, (R, n), int32.
        n_iter: (R,).
        inertia: of each restart, from differences in float64; known once ``run`` has ended.
    """

    inertia: list[float]

    def __init__(self, samples: Samples, seeds: Tensor, *, spherical: bool) -> None:
        n_restarts, n_clusters, n_features = seeds.shape
        n_rows, device = len(samples.x), samples.x.device
        self._samples = samples
        self._spherical = spherical
        self.numbers = list(range(n_restarts))
        self.centroids = seeds.clone()
        self.labels = torch.full((n_restarts, n_rows), n_clusters, dtype=torch.int32, device=device)
        self._before = torch.empty_like(self.labels)  # kept: new memory costs more than what is done with it
        self.n_iter = torch.zeros(n_restarts, dtype=torch.int64)
        self._is_exact = [True] * n_restarts  # nothing has been taken out of the sums since they were made
        # Row K is that of "no label".
        self._totals = torch.zeros(n_restarts, n_clusters + 1, n_features + 1, dtype=torch.float64, device=device)

    def run(self, max_iter: int, threshold: float) -> None:
        """Iterate until every restart has converged; then label the samples by the last centroids."""
        n_active = len(self.numbers)
        spread = self._samples.variance**0.5
        for number in range(1, max_iter + 1):
            n_changed = self._assign(n_active)
            for r, changed in enumerate(n_changed):
                self._is_exact[r] &= changed == 0 or number == 1
            if number % _REBUILD_EVERY == 0:
                self._rebuild(range(n_active))
            new = self._updated(slice(n_active))
            distances = (new - self.centroids[:n_active]).square_().sum(2).sqrt_()
            ends = self._ends(distances, n_changed, threshold)
            for r in range(n_active):
                if self._is_exact[r] or not (ends[r] or number == max_iter):
                    continue
                self._rebuild([r])
                one = slice(r, r + 1)
                exact = self._updated(one)
                drifted = (exact - new[one]).norm(dim=2) > _DRIFT * (exact.norm(dim=2) + spread)
                new[one] = exact
                distances[one] = (exact - self.centroids[one]).square_().sum(2).sqrt_()
                ends[r] = self._ends(distances[one], n_changed[one], threshold)[0] and not bool(drifted.any())
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
    def _ends(distances: Tensor, n_changed: list[int], threshold: float) -> list[bool]:
        """Whether restarts have converged, given how far their centroids move."""
        shifts = distances.square().sum(1).tolist()
        return [shift <= threshold or changed == 0 for shift, changed in zip(shifts, n_changed, strict=True)]

    def _rebuild(self, restarts: Iterable[int]) -> None:
        """Make sums and counts anew from the labels."""
        for r in restarts:
            if not self._is_exact[r]:
                self._is_exact[r] = True
                labels = self.labels[r : r + 1]
                nowhere = torch.full_like(labels, self.centroids.shape[1])
                move_(self._samples, nowhere, labels, self._totals[r : r + 1].zero_())

    def _reorder(self, order: list[int]) -> None:
        self.numbers = [self.numbers[r] for r in order]
        self._is_exact = [self._is_exact[r] for r in order]
        self.centroids, self.n_iter = self.centroids[order], self.n_iter[order]
        self.labels, self._totals = self.labels[order], self._totals[order]

    def keep_best(self, other: _Restarts | None) -> None:
        """Drop all restarts but the one of lowest inertia, of ``other`` too; the first of equally good ones."""
        limit = min(self.inertia) * (1 + _SAME)
        best = min((r for r, inertia in enumerate(self.inertia) if inertia <= limit), key=self.numbers.__getitem__)
        if other is not None and other.inertia[0] <= self.inertia[best] * (1 + _SAME):
            self.centroids, self.labels = other.centroids, other.labels
            self.n_iter, self.inertia = other.n_iter, other.inertia
            return
        self.centroids, self.labels = self.centroids[best : best + 1], self.labels[best : best + 1]
        self.n_iter, self.inertia = self.n_iter[best : best + 1], self.inertia[best : best + 1]

    def _inertia(self) -> list[float]:
        """Sums of weight times squared distance, from differences: far outliers leave the others their share."""
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
        """Bring labels, sums and counts of the first restarts up to date; returns how many labels have changed."""
        samples, labels = self._samples, self.labels[:n_active]
        before = self._before[:n_active].copy_(labels)
        assign_(samples.x, samples.norms, self.centroids[:n_active], labels)
        n_changed: list[int] = samples.sum_(move_(samples, before, labels, self._totals[:n_active])).tolist()
        return n_changed

    # ---- update ----------------------------------------------------------------------------------------------------

    def _updated(self, restarts: slice) -> Tensor:
        """Means of the clusters of some restarts, (R', K, D)."""
        own = self._totals[restarts]
        totals = self._samples.sum_(own.clone())[:, :-1]
        old = self.centroids[restarts]
        sums, counts = totals[:, :, :-1], totals[:, :, -1]
        labels = self.labels[restarts]
        empty = self._empty(labels, counts)
        for i, k in empty.nonzero().tolist():  # rounding may have left something
            own[i, k] = 0.0
            sums[i, k] = 0.0
        for i in empty.any(1).nonzero()[:, 0].tolist():
            self._repair(old[i], labels[i], sums[i], counts[i], empty[i].nonzero()[:, 0])
        means = torch.where(counts.unsqueeze(2) > 0, sums / torch.where(counts > 0, counts, 1.0).unsqueeze(2), old)
        return _unit(means, old) if self._spherical else means

    def _empty(self, labels: Tensor, counts: Tensor) -> Tensor:
        """Clusters without a sample of positive weight, (R', K); what rounding leaves in counts becomes 0."""
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

        The farthest sample goes to the empty cluster of the lowest number; equally far ones in the order of the data.
        As in scikit-learn, the sample is taken out of its own cluster's mean, and nothing happens if all samples lie on
        their centroids.
        """
        samples, n_empty = self._samples, len(empty)
        n_features = samples.x.shape[1]
        distances = own_distances(samples.x, centroids, labels)
        if samples.weights is not None:
            distances.masked_fill_(samples.weights == 0, -1.0)
        far = distances.argsort(descending=True, stable=True)[:n_empty]
        rank, world_size = world() if samples.shared else (0, 1)
        # Distance, number, label, weight and features of each candidate; processes without a sample have none.
        table = torch.zeros(world_size, n_empty, 4 + n_features, dtype=torch.float64, device=samples.x.device)
        table[rank, :, 0] = -1.0
        if len(far) > 0:
            own = table[rank, : len(far)]
            own[:, 0] = distances[far]
            own[:, 1] = self._numbers(far)
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

    def _numbers(self, rows: Tensor) -> Tensor:
        """Numbers of rows of this process in the whole data."""
        samples = self._samples
        starts = torch.tensor([chunk.start for chunk in samples.chunks], device=rows.device)
        chunk = torch.searchsorted(starts, rows, right=True) - 1
        return samples.chunk_numbers.to(rows.device)[chunk] * CHUNK_SIZE + rows - starts[chunk]


def _unit(centroids: Tensor, fallback: Tensor) -> Tensor:
    """Centroids scaled to unit length; those without a direction are replaced."""
    norms = centroids.norm(dim=-1, keepdim=True)
    return torch.where(norms > 0, centroids / norms.clamp_min(1e-300), fallback)


def move_(samples: Samples, before: Tensor, after: Tensor, totals: Tensor) -> Tensor:
    """Take rows out of the sums of the clusters before and into those after.

    Args:
        samples: the rows, with their weights.
        before: clusters, (R, n), int32; K is none.
        after: the same.
        totals: sums, and weights in the last column, (R, K + 1, D + 1), float64, contiguous; written to. The row of K
            is never read.

    Returns:
        How many rows have moved, (R,), int64.
    """
    x, weights = samples.x, samples.weights
    if native.is_native(x):
        return native.move_(x, weights, before, after, totals)
    n_rows = max(1, _MOVE_ELEMENTS // (x.shape[1] + 1))
    terms = torch.ones(min(len(x), n_rows), x.shape[1] + 1, dtype=torch.float64, device=x.device)
    n_moved = torch.zeros(len(before), dtype=torch.int64, device=x.device)
    for r, (old, new) in enumerate(zip(before, after, strict=True)):
        moved = (old != new).nonzero()[:, 0]
        n_moved[r] = len(moved)
        for some in torch.split(moved, n_rows):
            part = terms[: len(some)]
            part[:, :-1] = x.index_select(0, some)
            part[:, -1] = 1.0
            if weights is not None:
                part *= weights.index_select(0, some).unsqueeze(1)
            totals[r].index_add_(0, new.index_select(0, some), part)
            totals[r].index_add_(0, old.index_select(0, some), part, alpha=-1.0)
    return n_moved
