"""Centroids to start from: greedy k-means++ and random samples, all restarts side by side.

A draw picks a chunk of the data first and then a row inside it, from sums in float64 that have one owner each: it takes
no cumulative sum over all rows, and the same random numbers give the same rows on any number of processes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.errors import InputError
from lightning_dc.kmeans.samples import Samples, check_arguments, full_precision, prepare

_DOUBTFUL = 4.0  # squared distances below so many times the bound of their rounding error are computed exactly


def kmeans_plusplus(
    x: Tensor,
    n_clusters: int,
    *,
    n_init: int = 1,
    sample_weight: Tensor | None = None,
    n_total: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Greedy k-means++ seeding (Arthur and Vassilvitskii 2007) of several restarts at once.

    Each next seed is the best of ``2 + log K`` candidates that are drawn with probability proportional to weight times
    squared distance to the nearest seed, as in scikit-learn.

    Args:
        x: samples, (N, D), float; of this process only if ``n_total`` is given.
        n_clusters: K.
        n_init: number of restarts R; one, as most callers of a seeding by itself need one.
        sample_weight: weights of the samples, (N,); None is 1 for each.
        n_total: samples of all processes, as in :func:`~lightning_dc.kmeans.kmeans`.
        generator: random numbers, the same on all processes; None is a new one with seed 0.

    Returns:
        Seeds, (R, K, D).

    Raises:
        InputError: too few samples, an argument out of range, weights that do not fit, values that are not finite, or
            any of these on another process that shares the data.
    """
    with full_precision(x.device):

        def check(n_samples: int, n_features: int) -> None:
            check_arguments(n_samples, n_clusters, n_init)

        samples = prepare(x, sample_weight, n_total, spherical=False, check=check)
        return samples.restore(plusplus_seeds(samples, n_clusters, n_init, generator))


def plusplus_seeds(samples: Samples, n_clusters: int, n_init: int, generator: torch.Generator | None) -> Tensor:
    """Seeds by greedy k-means++, (R, K, D), float64, in units of the samples."""
    draw = _Draw(samples, n_init, generator)
    n_candidates = 2 + int(math.log(n_clusters))
    draw.set_potentials(None)
    latest = draw(1)  # (R, 1, D)
    seeds = [latest[:, 0]]
    closest = samples.x.new_full((n_init, len(samples.x)), torch.inf)
    _lower(closest, samples, latest[:, 0])
    for _ in range(1, n_clusters):
        draw.set_potentials(closest)
        candidates = draw(n_candidates)
        sums = samples.sum_(_potentials_with(closest, samples, candidates)).sum(2)
        latest = candidates[torch.arange(n_init, device=sums.device), sums.argmin(1)]
        _lower(closest, samples, latest)
        seeds.append(latest)
    return torch.stack(seeds, 1).double()


def random_seeds(samples: Samples, n_clusters: int, n_init: int, generator: torch.Generator | None) -> Tensor:
    """Distinct samples, drawn with probability proportional to their weight, (R, K, D), float64.

    Raises:
        InputError: fewer samples of positive weight than clusters, an error in scikit-learn too.
    """
    if samples.weights is not None:
        n_positive = int(samples.sum_((samples.weights > 0).sum()))
        if 0 < n_positive < n_clusters:
            raise InputError(
                f"only {n_positive} samples have a positive sample_weight; init='random' draws n_clusters={n_clusters}"
            )
    draw = _Draw(samples, n_init, generator)
    remaining = samples.x.new_ones(n_init, len(samples.x))
    seeds = []
    for _ in range(n_clusters):
        draw.set_potentials(remaining)
        seeds.append(draw(1)[:, 0])
        rows, restarts = draw.latest_rows[:, 0], torch.arange(n_init, device=remaining.device)
        own = rows >= 0
        remaining[restarts[own], rows[own]] = 0.0
    return torch.stack(seeds, 1).double()


class _Draw:
    """Draws samples with probability proportional to weight times potential, (R, n), in each restart.

    Attributes:
        latest_rows: rows of this process that were drawn last, (R, L); -1 where another process owns the row.
    """

    latest_rows: Tensor

    def __init__(self, samples: Samples, n_init: int, generator: torch.Generator | None) -> None:
        self._samples = samples
        self._n_init = n_init
        self._generator = torch.Generator().manual_seed(0) if generator is None else generator
        ones = torch.ones(1, len(samples.x), dtype=torch.float64, device=samples.x.device)
        self._weights = ones if samples.weights is None else samples.weights.unsqueeze(0)
        self._weight_sums = samples.sum_(samples.per_chunk(self._weights)).expand(n_init, -1)
        if not bool(self._weight_sums.sum() > 0):
            raise InputError("all sample_weight are zero; give at least one sample a positive weight")
        self._potentials: Tensor | None = None
        self._sums = self._weight_sums
        place = torch.full((samples.n_chunks,), -1, dtype=torch.int64)
        place[samples.chunk_numbers] = torch.tensor([rows.start for rows in samples.chunks], dtype=torch.int64)
        self._starts = place.to(samples.x.device)  # where a chunk begins among the rows of this process

    def set_potentials(self, potentials: Tensor | None) -> None:
        """Potentials of the next draws; None is 1 for each, and stands in where all are zero."""
        self._potentials = potentials
        if potentials is not None:
            sums = self._samples.sum_(_weighted_sums(self._samples, potentials))
            self._sums = torch.where(sums.sum(1, keepdim=True) > 0, sums, self._weight_sums)

    def __call__(self, n_draws: int) -> Tensor:
        """Draw with replacement, (R, L, D), the same on all processes."""
        shape = (self._n_init, n_draws)
        random = torch.rand(*shape, generator=self._generator, device=self._generator.device, dtype=torch.float64)
        cumulative = self._sums.cumsum(1)
        target = random.to(cumulative.device) * cumulative[:, -1:]
        # Not past the last chunk with a positive sum, should rounding point there.
        last = (cumulative < cumulative[:, -1:]).sum(1, keepdim=True)
        chunk = torch.minimum(torch.searchsorted(cumulative, target, right=True), last)
        before = torch.nn.functional.pad(cumulative, (1, 0)).gather(1, chunk)
        start = self._starts[chunk]
        n_rows, x = len(self._samples.x), self._samples.x
        self.latest_rows = torch.full(shape, -1, dtype=torch.int64, device=x.device)
        drawn = x.new_zeros(*shape, x.shape[1])
        own = start >= 0
        if bool(own.any()):
            rows = start[own].unsqueeze(1) + torch.arange(min(CHUNK_SIZE, n_rows), device=x.device)
            inside = rows < torch.clamp(start[own].unsqueeze(1) + CHUNK_SIZE, max=n_rows)
            rows = rows.clamp_max_(n_rows - 1)
            values = self._weights[0, rows].masked_fill_(~inside, 0.0)
            if self._potentials is not None:
                restart = torch.arange(self._n_init, device=x.device).unsqueeze(1).expand(shape)[own].unsqueeze(1)
                weighted = values * self._potentials[restart, rows]
                values = torch.where(weighted.sum(1, keepdim=True) > 0, weighted, values)
            steps = values.cumsum(1)
            rest = (target - before)[own].unsqueeze(1)
            place = torch.searchsorted(steps, rest, right=True)
            place = torch.minimum(place, (steps < steps[:, -1:]).sum(1, keepdim=True))
            self.latest_rows[own] = rows.gather(1, place)[:, 0]
            drawn[own] = x[self.latest_rows[own]]
        return self._samples.sum_(drawn)


def _weighted_sums(samples: Samples, potentials: Tensor) -> Tensor:
    """Sums of weight times potential, (R, n), over each chunk, (R, chunks), float64; not yet reduced."""
    if samples.weights is None:
        return samples.per_chunk(potentials)
    sums = torch.zeros(len(potentials), samples.n_chunks, dtype=torch.float64, device=potentials.device)
    for number, rows in zip(samples.chunk_numbers.tolist(), samples.chunks, strict=True):
        sums[:, number] = (potentials[:, rows] * samples.weights[rows]).sum(1)
    return sums


def _distances(samples: Samples, rows: slice, points: Tensor) -> Tensor:
    """Squared distances of rows to points, (P, D), in the precision of the data, (P, rows).

    A product loses small distances between points far from the origin to rounding. A distance d that is small beside
    |x| has |p| of about |x|, so that its error is bounded by a multiple of |x|^2; rows that are nearer to any point
    than a few times the bound are looked at again, from differences. So none is negative.
    """
    x = samples.x[rows]
    squares = samples.norms[rows].square()
    distances = torch.addmm(squares, points, x.T, alpha=-2.0)
    distances.add_(points.square().sum(1, keepdim=True))
    error = 1.05 * (x.shape[1] + 12) * torch.finfo(x.dtype).eps / 2 * 5.0  # of (|x| + |p|)^2 < 5 |x|^2
    near = (distances.amin(0) <= squares.mul_(_DOUBTFUL * error)).nonzero()[:, 0]
    if len(near) > 0:
        exact = torch.cdist(points, x.index_select(0, near), compute_mode="donot_use_mm_for_euclid_dist")
        distances.index_copy_(1, near, exact.square_())
    return distances


def _lower(closest: Tensor, samples: Samples, seeds: Tensor) -> None:
    """Take one more seed of each restart, (R, D), into the squared distances to the nearest seed, (R, n), in place."""
    for rows in samples.chunks:  # small enough for the cache
        closest[:, rows] = torch.minimum(closest[:, rows], _distances(samples, rows, seeds))


def _potentials_with(closest: Tensor, samples: Samples, candidates: Tensor) -> Tensor:
    """What the potential of each chunk would be with each candidate, (R, L, chunks), float64; not yet reduced."""
    n_restarts, n_candidates, _ = candidates.shape
    sums = torch.zeros(n_restarts, n_candidates, samples.n_chunks, dtype=torch.float64, device=closest.device)
    for number, rows in zip(samples.chunk_numbers.tolist(), samples.chunks, strict=True):
        distances = _distances(samples, rows, candidates.flatten(0, 1)).view(n_restarts, n_candidates, -1)
        distances = torch.minimum(distances, closest[:, rows].unsqueeze(1))
        if samples.weights is None:
            sums[:, :, number] = distances.sum(2, dtype=torch.float64)
        else:
            sums[:, :, number] = distances.double() @ samples.weights[rows]
    return sums
