"""Choice of the first centroids by greedy k-means++ or random samples, with all restarts in parallel.

A draw first selects a chunk of the data and then a row in it. It uses sums in float64, each of which is computed by one
process. So no cumulative sum over all rows is needed, and the same random numbers give the same rows on any number of
processes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.errors import InputError
from lightning_dc.kmeans.owned_samples import OwnedSamples, check_arguments, prepare
from lightning_dc.kmeans.precision import full_precision

_EXACT_BELOW = 4.0  # multiple of the rounding error bound; smaller squared distances come from differences


def kmeans_plusplus(
    x: Tensor,
    n_clusters: int,
    *,
    n_init: int = 1,
    sample_weight: Tensor | None = None,
    n_total: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose seeds for several restarts by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each further seed is the best of ``2 + log K`` candidates, which are drawn with probability proportional to weight
    times squared distance to the nearest seed, as in scikit-learn.

    Args:
        x: samples, (N, D), float; if ``n_total`` is given, only the samples of this process.
        n_clusters: number of clusters K.
        n_init: number of restarts R; the default is 1, as most callers need one set of seeds.
        sample_weight: weights of the samples, (N,); None gives every sample the weight 1.
        n_total: number of samples on all processes, as in :func:`~lightning_dc.kmeans.kmeans`.
        generator: random numbers, in the same state on all processes; None creates a generator with seed 0.

    Returns:
        Seeds, (R, K, D).

    Raises:
        InputError: there are too few samples, an argument is out of range, the weights do not fit, values are not
            finite, or one of these is true on another process that shares the data.
    """
    with full_precision(x.device):

        def check(n_samples: int, n_features: int) -> None:
            check_arguments(n_samples, n_clusters, n_init)

        samples = prepare(x, sample_weight, n_total, spherical=False, check=check)
        return samples.restore(plusplus_seeds(samples, n_clusters, n_init, generator))


def plusplus_seeds(samples: OwnedSamples, n_clusters: int, n_init: int, generator: torch.Generator | None) -> Tensor:
    """Choose seeds by greedy k-means++, (R, K, D), float64, in units of the prepared samples."""
    draw = _WeightedDraws(samples, n_init, generator)
    n_candidates = 2 + int(math.log(n_clusters))
    draw.set_potentials(None)
    latest = draw(1)  # (R, 1, D)
    seeds = [latest[:, 0]]
    closest = samples.x.new_full((n_init, len(samples.x)), torch.inf)
    _lower_to_nearest_seed(closest, samples, latest[:, 0])
    for _ in range(1, n_clusters):
        draw.set_potentials(closest)
        candidates = draw(n_candidates)
        sums = samples.sum_(_potentials_with(closest, samples, candidates)).sum(2)
        latest = candidates[torch.arange(n_init, device=sums.device), sums.argmin(1)]
        _lower_to_nearest_seed(closest, samples, latest)
        seeds.append(latest)
    return torch.stack(seeds, 1).double()


def random_seeds(samples: OwnedSamples, n_clusters: int, n_init: int, generator: torch.Generator | None) -> Tensor:
    """Draw distinct samples with probability proportional to their weight, (R, K, D), float64.

    Raises:
        InputError: fewer samples have a positive weight than there are clusters; scikit-learn raises an error, too.
    """
    if samples.weights is not None:
        n_positive = int(samples.sum_((samples.weights > 0).sum()))
        if 0 < n_positive < n_clusters:
            raise InputError(
                f"only {n_positive} samples have a positive sample_weight; init='random' draws n_clusters={n_clusters}"
            )
    draw = _WeightedDraws(samples, n_init, generator)
    remaining = samples.x.new_ones(n_init, len(samples.x))
    seeds = []
    for _ in range(n_clusters):
        draw.set_potentials(remaining)
        seeds.append(draw(1)[:, 0])
        rows, restarts = draw.latest_rows[:, 0], torch.arange(n_init, device=remaining.device)
        own = rows >= 0
        remaining[restarts[own], rows[own]] = 0.0
    return torch.stack(seeds, 1).double()


class _WeightedDraws:
    """Random draws of samples with probability proportional to weight times potential, (R, n), in each restart.

    Attributes:
        latest_rows: row numbers of the latest draws on this process, (R, L); -1 where another process owns the row.
    """

    latest_rows: Tensor

    def __init__(self, samples: OwnedSamples, n_init: int, generator: torch.Generator | None) -> None:
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
        self._starts = place  # on the CPU: first row of each chunk on this process; -1 if it is not here

    def set_potentials(self, potentials: Tensor | None) -> None:
        """Set the potentials of the next draws, (R, n); None, or potentials that are all zero, count as ones."""
        self._potentials = potentials
        if potentials is not None:
            sums = self._samples.sum_(_weighted_sums(self._samples, potentials))
            self._sums = torch.where(sums.sum(1, keepdim=True) > 0, sums, self._weight_sums)

    def __call__(self, n_draws: int) -> Tensor:
        """Draw samples with replacement, (R, L, D), which are the same on all processes."""
        shape = (self._n_init, n_draws)
        random = torch.rand(*shape, generator=self._generator, device=self._generator.device, dtype=torch.float64)
        cumulative = _cumulative(self._sums)
        target = random.cpu() * cumulative[:, -1:]
        chunk = _position(cumulative, target)
        before = torch.nn.functional.pad(cumulative, (1, 0)).gather(1, chunk)
        x, start = self._samples.x, self._starts[chunk]
        own = start >= 0
        rows = torch.full(shape, -1, dtype=torch.int64)
        if bool(own.any()):
            rows[own] = self._rows_in_chunks(start[own], own.nonzero()[:, 0], (target - before)[own])
        self.latest_rows = rows.to(x.device)
        drawn = x[self.latest_rows.clamp_min(0)] if len(x) > 0 else x.new_zeros(*shape, x.shape[1])
        return self._samples.sum_(drawn.masked_fill_(self.latest_rows.unsqueeze(2) < 0, 0.0))

    def _rows_in_chunks(self, starts: Tensor, restarts: Tensor, rest: Tensor) -> Tensor:
        """Return the row, (M,), at which the cumulative potential of a chunk passes a value, for M draws.

        Args:
            starts: first row of the chunk, (M,).
            restarts: number of the restart, (M,).
            rest: value that the cumulative potential has to pass, (M,).
        """
        x = self._samples.x
        starts, restarts = starts.to(x.device).unsqueeze(1), restarts.to(x.device).unsqueeze(1)
        rows = starts + torch.arange(min(CHUNK_SIZE, len(x)), device=x.device)
        inside = rows < (starts + CHUNK_SIZE).clamp_max(len(x))
        rows.clamp_max_(len(x) - 1)
        values = self._weights[0, rows].masked_fill_(~inside, 0.0)
        if self._potentials is not None:
            weighted = values * self._potentials[restarts, rows]
            values = torch.where(weighted.sum(1, keepdim=True) > 0, weighted, values)
        return starts[:, 0].cpu() + _position(_cumulative(values), rest.unsqueeze(1))[:, 0]


def _cumulative(values: Tensor) -> Tensor:
    """Return cumulative sums along the second dimension, on the CPU, by NumPy.

    PyTorch has no deterministic kernel for cumulative sums of floating-point numbers on CUDA, and raises an error where
    ``torch.use_deterministic_algorithms`` asks for one. The numbers are few.
    """
    return torch.from_numpy(values.cpu().numpy().cumsum(1))


def _position(cumulative: Tensor, target: Tensor) -> Tensor:
    """Return the first positions, (M, L), of cumulative sums, (M, n), above targets, (M, L).

    Rounding must not select a position after the last one with a positive value.
    """
    last = (cumulative < cumulative[:, -1:]).sum(1, keepdim=True)
    return torch.minimum(torch.searchsorted(cumulative, target, right=True), last)


def _weighted_sums(samples: OwnedSamples, potentials: Tensor) -> Tensor:
    """Return sums of weight times potential, (R, n), in each chunk of this process, (R, chunks), float64."""
    weights = samples.weights
    if weights is None:
        return samples.per_chunk(potentials)
    return samples.sums_of((len(potentials),), lambda rows: potentials[:, rows] * weights[rows])


def _squared_distances(samples: OwnedSamples, rows: slice, points: Tensor) -> Tensor:
    """Return squared distances of rows to points, (P, D), in the precision of the data, (P, rows).

    A product loses small distances between points far from the origin to rounding. If a distance is small compared to
    |x|, then |p| is about |x|, so that the error of the distance is bounded by a multiple of |x|^2. Distances of rows
    that are nearer to any point than a few times this bound are computed again from differences. So none is negative.
    """
    x = samples.x[rows]
    squares = samples.norms[rows].square()
    distances = torch.addmm(squares, points, x.T, alpha=-2.0)
    distances.add_(points.square().sum(1, keepdim=True))
    error = 1.05 * (x.shape[1] + 12) * torch.finfo(x.dtype).eps / 2 * 5.0  # of (|x| + |p|)^2 < 5 |x|^2
    near = (distances.amin(0) <= squares.mul_(_EXACT_BELOW * error)).nonzero()[:, 0]
    if len(near) > 0:
        exact = torch.cdist(points, x.index_select(0, near), compute_mode="donot_use_mm_for_euclid_dist")
        distances.index_copy_(1, near, exact.square_())
    return distances


def _lower_to_nearest_seed(closest: Tensor, samples: OwnedSamples, seeds: Tensor) -> None:
    """Lower the squared distances to the nearest seed, (R, n), in place by one more seed of each restart, (R, D)."""
    for block in samples.blocks(len(seeds)):
        rows = block.rows
        closest[:, rows] = torch.minimum(closest[:, rows], _squared_distances(samples, rows, seeds))


def _potentials_with(closest: Tensor, samples: OwnedSamples, candidates: Tensor) -> Tensor:
    """Return the potential of each chunk of this process with each candidate, (R, L, chunks), float64."""
    points, shape = candidates.flatten(0, 1), candidates.shape[:2]

    def potentials(rows: slice) -> Tensor:
        distances = torch.unflatten(_squared_distances(samples, rows, points), 0, shape)
        lowered = torch.minimum(distances, closest[:, rows].unsqueeze(1))
        return lowered if samples.weights is None else lowered * samples.weights[rows]

    return samples.sums_of((shape[0], shape[1]), potentials)
