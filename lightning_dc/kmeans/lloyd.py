"""Exact k-means: Lloyd's iterations of all restarts side by side."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE, world
from lightning_dc.errors import InputError
from lightning_dc.kmeans.nearest import GROUP, nearest_of_all, nearest_of_each, own_distances
from lightning_dc.kmeans.samples import Samples, check_arguments, full_precision, prepare
from lightning_dc.kmeans.seeding import plusplus_seeds, random_seeds

N_INIT = 20
"""Restarts unless said otherwise, as many as in DEC (https://arxiv.org/abs/1511.06335)."""

_LABELS_TOGETHER = 1 << 28  # labels of all restarts that are held at a time: 2 GiB, with what belongs to them
_MOVE_ELEMENTS = 1 << 18  # elements in float64 held at a time: 2 MiB, within the cache
_SAME = 1e-10  # restarts whose inertias differ by no more, relatively, count as equal, and the first one wins
_REBUILD_EVERY = 50  # iterations after which sums are made anew from the labels
_DRIFT = (
    1e-9  # a restart ends only if making its sums anew moves no centroid by a larger part of its norm and the spread
)
_SLACK = 1e-6  # covers the rounding of sums of shifts


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

    Labels are those of exact distances: where rounding leaves open which centroid is nearest, float64 decides. Samples
    whose label cannot change, as their centroid and all others have moved too little since they were last looked at
    (Hamerly 2010, https://doi.org/10.1137/1.9781611972801.12), are left out of an iteration; this does not change the
    result. A cluster that loses all its samples takes the sample that is farthest from its centroid, as in
    scikit-learn.

    Args:
        x: samples, (N, D), float; computed in float32 at least.
        n_clusters: K, between 1 and N.
        n_init: number of restarts.
        init: how to seed: greedy k-means++, distinct random samples, or centroids to start from, (K, D), or (R, K, D)
            for R restarts, in place of ``n_init``.
        max_iter: most iterations of a restart; 0 only labels the samples by the centroids to start from.
        tol: a restart has converged when its centroids' squared shift is at most this share of the mean variance of
            the features, or when no label changes (scikit-learn's rule).
        sample_weight: weights of the samples, (N,), zero or more; None is 1 for each.
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

    Attributes:
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
        self.centroids = seeds.clone()
        self.labels = torch.full((n_restarts, n_rows), n_clusters, dtype=torch.int32, device=device)
        self.n_iter = torch.zeros(n_restarts, dtype=torch.int64)
        # A row's label holds as long as its cluster's centroid and the farthest-moving other one have together moved by
        # less than its gap: _moved[label] < _expires. A label of K is none, and has always expired.
        self._moved = torch.zeros(n_restarts, n_clusters + 1, dtype=torch.float64, device=device)
        self._moved[:, -1] = torch.inf
        self._expires = samples.x.new_zeros(n_restarts, n_rows)
        self._is_exact = [True] * n_restarts  # nothing has been taken out of the sums since they were made
        # Row K is that of "no label".
        self._totals = torch.zeros(n_restarts, n_clusters + 1, n_features + 1, dtype=torch.float64, device=device)

    def run(self, max_iter: int, threshold: float) -> None:
        """Iterate until every restart has converged; then label the samples by the last centroids."""
        active = list(range(len(self.centroids)))
        spread = self._samples.variance**0.5
        for number in range(1, max_iter + 1):
            n_changed = self._assign(active)[active].tolist()
            for r, changed in zip(active, n_changed, strict=True):
                self._is_exact[r] &= changed == 0 or number == 1
            if number % _REBUILD_EVERY == 0:
                self._rebuild(active)
            new = self._updated(active)
            distances = (new - self.centroids[active]).square_().sum(2).sqrt_()
            ends = self._ends(distances, n_changed, threshold)
            doubtful = [i for i, r in enumerate(active) if not self._is_exact[r] and (ends[i] or number == max_iter)]
            if doubtful:
                restarts = [active[i] for i in doubtful]
                self._rebuild(restarts)
                exact = self._updated(restarts)
                drift = (exact - new[doubtful]).norm(dim=2)
                drifted = (drift > _DRIFT * (exact.norm(dim=2) + spread)).any(1).tolist()
                new[doubtful] = exact
                distances[doubtful] = (exact - self.centroids[restarts]).square_().sum(2).sqrt_()
                again = self._ends(distances, n_changed, threshold)
                for i, moved in zip(doubtful, drifted, strict=True):
                    ends[i] = again[i] and not moved
            self.centroids[active] = new
            self._note_shift(active, distances)
            self.n_iter[active] += 1
            active = [r for r, end in zip(active, ends, strict=True) if not end]
            if not active:
                break
        self._assign(list(range(len(self.centroids))))
        self.inertia = self._inertia()

    @staticmethod
    def _ends(distances: Tensor, n_changed: list[int], threshold: float) -> list[bool]:
        """Whether restarts have converged, given how far their centroids move."""
        shifts = distances.square().sum(1).tolist()
        return [shift <= threshold or changed == 0 for shift, changed in zip(shifts, n_changed, strict=True)]

    def _rebuild(self, restarts: list[int]) -> None:
        """Make sums and counts anew from the labels."""
        for r in restarts:
            if self._is_exact[r]:
                continue
            self._is_exact[r] = True
            self._totals[r] = 0.0
            for rows in self._samples.blocks():
                labels = self.labels[r, rows].to(torch.int64) + self._first_row(r)
                self._move(torch.arange(rows.start, rows.stop, device=labels.device), None, labels)

    def keep_best(self, other: _Restarts | None) -> None:
        """Drop all restarts but the one of lowest inertia, of ``other`` too."""
        limit = min(self.inertia) * (1 + _SAME)
        best = next(r for r, inertia in enumerate(self.inertia) if inertia <= limit)
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
        values = torch.zeros(1, len(samples.x), dtype=torch.float64, device=samples.x.device)
        for r, (centroids, labels) in enumerate(zip(self.centroids, self.labels, strict=True)):
            for rows in samples.blocks():
                values[0, rows] = own_distances(samples.x[rows], centroids, labels[rows])
            if samples.weights is not None:
                values *= samples.weights
            sums[r] = samples.per_chunk(values)[0]
        inertia: list[float] = samples.sum_(sums).sum(1).tolist()
        return inertia

    # ---- assignment ------------------------------------------------------------------------------------------------

    def _assign(self, active: list[int]) -> Tensor:
        """Bring labels, sums and counts of some restarts up to date; returns how many labels changed, (R,)."""
        n_changed = torch.zeros(len(self.centroids), dtype=torch.int64, device=self.centroids.device)
        moved = (self._moved * (1 + _SLACK)).to(self._expires.dtype)
        n_clusters, n_features = self.centroids.shape[1:]
        # Gathering a row costs about so many more clusters; measured on a CPU.
        gather_below = n_clusters / (n_clusters + n_features / 40 + 10)
        for rows in self._samples.blocks(max(len(active), n_clusters // GROUP)):
            stale = [self._expires[r, rows] <= moved[r].index_select(0, self.labels[r, rows]) for r in active]
            counts = torch.stack([each.sum() for each in stale]).tolist()
            few = [count < gather_below * (rows.stop - rows.start) for count in counts]
            whole = [r for r, gathered in zip(active, few, strict=True) if not gathered]
            if whole:
                self._look_at_all(whole, rows, n_changed)
            some = [i for i, gathered in enumerate(few) if gathered and counts[i] > 0]
            if some:
                index = [stale[i].nonzero()[:, 0] for i in some]
                self._look_at_some([active[i] for i in some], rows, index, n_changed)
        return self._samples.sum_(n_changed)

    def _look_at_all(self, restarts: list[int], rows: slice, n_changed: Tensor) -> None:
        """Assign a block of rows in some restarts."""
        x, norms = self._samples.x[rows], self._samples.norms[rows]
        found = nearest_of_all(x, norms, self.centroids[restarts])
        for r, labels, gap in zip(restarts, found.labels, found.gap, strict=True):
            self._expires[r, rows] = self._expiry(self._moved[r].to(gap.dtype).index_select(0, labels), gap)
            old = self.labels[r, rows]
            changed = (labels != old).nonzero()[:, 0]
            before, after = old.index_select(0, changed), labels.index_select(0, changed)
            old.copy_(labels)
            n_changed[r] += len(changed)
            self._move(changed + rows.start, before + self._first_row(r), after + self._first_row(r))

    def _look_at_some(self, restarts: list[int], rows: slice, index: list[Tensor], n_changed: Tensor) -> None:
        """Assign some rows of a block in some restarts, those of ``index`` in each."""
        counts = [len(some) for some in index]
        where = torch.cat(index) + rows.start
        restart = torch.cat([some.new_full((len(some),), r) for r, some in zip(restarts, index, strict=True)])
        x, norms = self._samples.x.index_select(0, where), self._samples.norms.index_select(0, where)
        found = nearest_of_each(x, norms, self.centroids[restarts], counts)
        first = self._first_row(restart)
        after = found.labels + first
        place = where + restart * self.labels.shape[1]
        moved = self._moved.to(x.dtype).flatten().index_select(0, after)
        self._expires.view(-1).index_copy_(0, place, self._expiry(moved, found.gap))
        labels = self.labels.view(-1)
        before = labels.index_select(0, place) + first
        changed = (before != after).nonzero()[:, 0]
        labels.index_copy_(0, place[changed], found.labels[changed].to(torch.int32))
        n_changed += torch.bincount(restart[changed], minlength=len(n_changed))
        self._move(where[changed], before[changed], after[changed])

    def _first_row(self, restart: Any) -> Any:
        """Where the clusters of a restart begin among those of all, "no label" included."""
        return restart * (self.centroids.shape[1] + 1)

    def _expiry(self, moved: Tensor, gap: Tensor) -> Tensor:
        """How much further movement a label survives; rounded down by more than its own rounding."""
        return torch.where(gap > 0, moved.add_(gap).mul_(1 - _SLACK), -torch.inf)

    def _move(self, rows: Tensor, before: Tensor | None, after: Tensor) -> None:
        """Take rows, (m,), out of the sums of one cluster each and into those of another, numbered over restarts.

        ``before`` is None where rows come out of none.
        """
        samples = self._samples
        totals = self._totals.flatten(0, 1)
        n_features = samples.x.shape[1]
        n_rows = max(1, _MOVE_ELEMENTS // (n_features + 1))
        if int(self.n_iter.max()) == 0:
            before = None  # there are no clusters yet
        terms = torch.ones(min(len(rows), n_rows), n_features + 1, dtype=torch.float64, device=rows.device)
        for start in range(0, len(rows), n_rows):
            some = rows[start : start + n_rows]
            part = terms[: len(some)]
            part[:, :-1] = samples.x.index_select(0, some)
            if samples.weights is not None:
                weights = samples.weights.index_select(0, some)
                part[:, :-1] *= weights.unsqueeze(1)
                part[:, -1] = weights
            totals.index_add_(0, after[start : start + n_rows], part)
            if before is not None:
                totals.index_add_(0, before[start : start + n_rows].to(torch.int64), part, alpha=-1.0)

    # ---- update ----------------------------------------------------------------------------------------------------

    def _updated(self, active: list[int]) -> Tensor:
        """Means of the clusters of some restarts, (len(active), K, D)."""
        totals = self._samples.sum_(self._totals[active])[:, :-1]
        old = self.centroids[active]
        sums, counts = totals[:, :, :-1], totals[:, :, -1]
        empty = self._empty(active, counts)
        for i, k in empty.nonzero().tolist():  # rounding may have left something
            self._totals[active[i], k] = 0.0
            sums[i, k] = 0.0
        for i in empty.any(1).nonzero()[:, 0].tolist():
            self._repair(active[i], sums[i], counts[i], empty[i].nonzero()[:, 0])
        means = torch.where(counts.unsqueeze(2) > 0, sums / counts.clamp_min(1e-300).unsqueeze(2), old)
        return _unit(means, old) if self._spherical else means

    def _empty(self, active: list[int], counts: Tensor) -> Tensor:
        """Clusters without a sample of positive weight, (len(active), K); what rounding leaves in counts becomes 0."""
        if self._samples.weights is None:
            counts.round_()
            return counts == 0
        n_members = torch.zeros_like(counts)
        positive = (self._samples.weights > 0).double()
        for i, r in enumerate(active):
            n_members[i].index_add_(0, self.labels[r], positive)
        empty = self._samples.sum_(n_members) == 0
        counts.masked_fill_(empty, 0.0)
        return empty

    def _repair(self, r: int, sums: Tensor, counts: Tensor, empty: Tensor) -> None:
        """Give each empty cluster of a restart one of the samples farthest from their centroids, in place.

        The farthest sample goes to the empty cluster of the lowest number; equally far ones in the order of the data.
        As in scikit-learn, the sample is taken out of its own cluster's mean, and nothing happens if all samples lie on
        their centroids.
        """
        samples, n_empty = self._samples, len(empty)
        n_features = samples.x.shape[1]
        distances = torch.zeros(len(samples.x), dtype=torch.float64, device=samples.x.device)
        for rows in samples.blocks():
            distances[rows] = own_distances(samples.x[rows], self.centroids[r], self.labels[r, rows])
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
            own[:, 2] = self.labels[r, far]
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

    def _note_shift(self, active: list[int], shift: Tensor) -> None:
        """Add up how far the own centroid and, at most, any other have moved, (len(active), K)."""
        two = shift.topk(min(2, shift.shape[1]), dim=1)
        others = torch.where(
            torch.arange(shift.shape[1], device=shift.device) == two.indices[:, :1],
            two.values[:, -1:],
            two.values[:, :1],
        )
        moved = torch.zeros_like(self._moved)
        moved[active, :-1] = shift + others
        self._moved += moved


def _unit(centroids: Tensor, fallback: Tensor) -> Tensor:
    """Centroids scaled to unit length; those without a direction are replaced."""
    norms = centroids.norm(dim=-1, keepdim=True)
    return torch.where(norms > 0, centroids / norms.clamp_min(1e-300), fallback)
