"""Samples of k-means on this process: checked, centred and scaled, with norms, weights and chunks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE, max_, owned_chunks, sum_
from lightning_dc.errors import InputError
from lightning_dc.kmeans.blocks import Block, rows_at_a_time

_EXPONENT_RANGE = {
    torch.float32: 40,
    torch.float64: 400,
}  # up to these exponents, sums of squares stay in range
_LARGEST_EXPONENT = {torch.float32: 120, torch.float64: 1000}  # of a scale: it and its inverse are normal numbers
_NEAR_ORIGIN = 4.0  # squared mean, in variances, up to which centring would gain too little precision for a copy
_LEAST_WEIGHT = 1e-150  # largest weights from here to its inverse give sums that neither overflow nor vanish
_SPREAD_STRIDE = 64  # the spread of the data is estimated from every 64th row


@dataclass(frozen=True)
class OwnedSamples:
    """Rows of the data that this process owns, in a form in which distances keep their precision.

    Rows are stored as (x - center) * scale. The center is zero if the data are close enough to the origin, so that they
    need no copy. The scale is a power of two, so that scaling rounds nothing.

    Attributes:
        x: rows, (n, D), float32 or float64, contiguous.
        norms: Euclidean norm of each row, (n,), dtype of ``x``.
        weights: weight of each row, (n,), float64; None gives every row the weight 1.
        chunks: slices of ``x``, one for each chunk that this process owns.
        chunk_numbers: number of each of these chunks in the whole data, (len(chunks),).
        n_total: number of rows on all processes, N.
        shared: whether the rows are distributed over processes; if not, no process waits for another.
        center: point that has been subtracted, (D,), float64, in the units of the given data.
        scale: factor of the rows, a power of two.
        variance: mean variance of the features over all processes, in units of ``x``.
    """

    x: Tensor
    norms: Tensor
    weights: Tensor | None
    chunks: list[slice]
    chunk_numbers: Tensor
    n_total: int
    shared: bool
    center: Tensor
    scale: float
    variance: float

    @property
    def n_chunks(self) -> int:
        """Number of chunks of the whole data."""
        return -(-self.n_total // CHUNK_SIZE)

    def sum_(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the processes that share the data, in place."""
        return sum_(tensor) if self.shared else tensor

    def per_chunk(self, values: Tensor) -> Tensor:
        """Return sums of values, (R, n), in each chunk of the whole data, (R, chunks), float64.

        Chunks of other processes are 0 until :meth:`sum_` adds them. Each sum is computed by one process in a fixed
        order, so that totals do not depend on the number of processes.
        """
        return self.sums_of((len(values),), lambda rows: values[:, rows])

    def sums_of(self, shape: tuple[int, ...], values: Callable[[slice], Tensor]) -> Tensor:
        """Return sums like :meth:`per_chunk` of values that are computed block by block, (*shape, chunks), float64.

        Args:
            shape: shape of the values without their last dimension.
            values: function of the rows of a block that returns their values, (*shape, rows).
        """
        sums = torch.zeros(*shape, self.n_chunks, dtype=torch.float64, device=self.x.device)
        for block in self.blocks(math.prod(shape)):
            sums[..., block.numbers] = block.by_chunk(values(block.rows), -1).sum(-1, dtype=torch.float64)
        return sums

    def blocks(self, columns: int) -> Iterator[Block]:
        """Yield blocks of this process's rows that consist of whole chunks of the same length.

        On a CPU, a block is one chunk, which is small enough for the cache.

        Args:
            columns: number of intermediate elements of a row.
        """
        together = max(1, rows_at_a_time(self.x.device, columns, CHUNK_SIZE) // CHUNK_SIZE)
        n_whole = len(self.x) // CHUNK_SIZE  # only the last chunk of the whole data may be shorter
        firsts = [*range(0, n_whole, together), n_whole]
        for first, last in zip(firsts, [*firsts[1:], len(self.chunks)], strict=True):
            if first < last:
                yield self._block(first, last)

    def _block(self, first: int, last: int) -> Block:
        numbers = self.chunk_numbers[first:last].tolist()
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        rows = slice(self.chunks[first].start, self.chunks[last - 1].stop)
        return Block(rows, slice(numbers[0], numbers[-1] + 1, step), last - first)

    def restore(self, centroids: Tensor) -> Tensor:
        """Convert centroids, (..., K, D), from the units of ``x`` to those of the given data, in the dtype of ``x``."""
        return (centroids / self.scale + self.center).to(self.x.dtype)

    def project(self, centroids: Tensor) -> Tensor:
        """Convert centroids, (..., K, D), from the units of the given data to those of ``x``, in float64."""
        return (centroids.to(self.x.device, torch.float64) - self.center) * self.scale


def as_float(x: Tensor) -> Tensor:
    """Convert a matrix of samples to float32, or to float64 if it is float64 or has integers of 32 bits or more.

    Raises:
        InputError: ``x`` is not a matrix, or holds complex numbers.
    """
    if x.ndim != 2:
        remedy = (
            "flatten it first" if x.ndim > 2 else "Reshape your data: x[:, None] has one feature, x[None] one sample"
        )
        raise InputError(f"x of k-means must be a matrix (N, D), got shape {tuple(x.shape)}; {remedy}")
    if x.is_complex():
        raise InputError(f"Complex data not supported: x of k-means holds {x.dtype}; give real numbers")
    wide = not x.is_floating_point() and x.dtype.itemsize >= 4
    return x.detach().to(torch.float64 if wide else torch.promote_types(x.dtype, torch.float32))


def as_weights(weights: Tensor, n_samples: int, device: torch.device) -> Tensor:
    """Convert the weights of samples, (N,), to float64 on the device of the samples.

    Raises:
        InputError: the weights are not one finite number of at least 0 for each sample.
    """
    try:
        weights = torch.as_tensor(weights).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"sample_weight of k-means holds no numbers ({error}); give one weight a sample") from error
    if weights.is_complex():
        raise InputError(f"sample_weight of k-means holds {weights.dtype}; give real numbers")
    if weights.shape != (n_samples,):
        raise InputError(f"sample_weight has shape {tuple(weights.shape)}; give one weight a sample, ({n_samples},)")
    weights = weights.to(device, torch.float64).contiguous()
    if not bool(((weights >= 0) & (weights < math.inf)).all()):
        raise InputError("sample_weight holds negative, infinite or NaN values; give finite weights of at least 0")
    largest = float(weights.max()) if len(weights) > 0 else 0.0
    if largest > 0 and not _LEAST_WEIGHT <= largest <= 1 / _LEAST_WEIGHT:
        raise InputError(f"the largest sample_weight is {largest:.3g}, too far from 1 to add up; divide all by it")
    return weights


def check_arguments(n_samples: int, n_clusters: int, n_init: int) -> None:
    """Check the arguments that seeding and iterations have in common.

    Raises:
        InputError: an argument is out of range.
    """
    if not 1 <= n_clusters <= n_samples:
        raise InputError(
            f"n_clusters={n_clusters} must lie between 1 and the {n_samples} samples; choose fewer clusters"
        )
    if n_init < 1:
        raise InputError(f"n_init={n_init} must be at least 1")


def prepare(
    x: Tensor,
    sample_weight: Tensor | None,
    n_total: int | None,
    *,
    spherical: bool,
    check: Callable[[int, int], None] | None = None,
    points: Tensor | None = None,
) -> OwnedSamples:
    """Check this process's rows and bring them into a form in which distances keep their precision.

    If rows are distributed over processes and are bad on one of them, every process raises.

    Args:
        x: rows, (n, D).
        sample_weight: weights of the rows, (n,), not negative; None gives every row the weight 1.
        n_total: number of rows on all processes; None if ``x`` holds all rows.
        spherical: scale the rows to unit length instead of centring them.
        check: function of N and D that makes further checks and raises an ``InputError`` if one fails.
        points: centroids that the rows are compared with, (..., D), finite, in the units of ``x``. The scale allows for
            them, too, since they may be much larger than the rows.

    Raises:
        InputError: ``x`` is not a matrix, values are not finite, the weights do not fit, ``x`` does not hold the rows
            that this process owns, a row is zero in spherical k-means, ``check`` raises, or one of these is true on
            another process.
    """
    shared = n_total is not None
    chunks: list[slice] = []
    numbers = torch.empty(0, dtype=torch.int64)
    weights, problem, largest = None, None, 0.0
    try:
        x = as_float(x)
        chunks, numbers = _owned_chunks(len(x), n_total)
        weights = None if sample_weight is None else as_weights(sample_weight, len(x), x.device)
        if check is not None:
            check(len(x) if n_total is None else n_total, x.shape[1])
        largest = largest_magnitude(x)
        if not math.isfinite(largest):
            raise not_finite_error()
    except InputError as error:
        if not shared:
            raise
        problem = error
    if shared:
        largest = _agreed_magnitude(largest, x, weights, n_total, problem)
    scale = power_of_two_scale(largest, x.dtype, 0.0 if points is None else largest_magnitude(points))
    x = (x if scale == 1.0 else x * scale).contiguous()
    total = len(x) if n_total is None else n_total
    center = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    samples = OwnedSamples(x, x.new_zeros(0), weights, chunks, numbers, total, shared, center, scale, 0.0)
    if spherical:
        x, scale = unit_rows(x, samples.sum_), 1.0
    else:
        center = _center(samples)
        if bool((center != 0).any()):
            x = x - center.to(x.dtype)
    norms = torch.linalg.vector_norm(x, dim=1)
    samples = OwnedSamples(x, norms, weights, chunks, numbers, total, shared, center / scale, scale, 0.0)
    return OwnedSamples(x, norms, weights, chunks, numbers, total, shared, center / scale, scale, _variance(samples))


def _owned_chunks(n_rows: int, n_total: int | None) -> tuple[list[slice], Tensor]:
    """Return the chunks as slices of the rows of this process, and their numbers in the whole data."""
    if n_total is None:
        starts = range(0, n_rows, CHUNK_SIZE)
        return [slice(start, min(start + CHUNK_SIZE, n_rows)) for start in starts], torch.arange(len(starts))
    owned = owned_chunks(n_total)
    if n_rows != sum(rows.stop - rows.start for rows in owned):
        raise InputError(f"x has {n_rows} rows; of n_total={n_total} this process owns those of owned_rows({n_total})")
    local = [slice(i * CHUNK_SIZE, i * CHUNK_SIZE + rows.stop - rows.start) for i, rows in enumerate(owned)]
    return local, torch.tensor([rows.start // CHUNK_SIZE for rows in owned], dtype=torch.int64)


def not_finite_error() -> InputError:
    """Return the error for data with NaN or infinite values."""
    return InputError("the data of k-means hold NaN or infinite values; clean the inputs or lower the learning rate")


def largest_magnitude(x: Tensor) -> float:
    """Return the largest absolute value on this process, which is not finite if any value is not finite."""
    if x.numel() == 0:
        return 0.0
    low, high = x.aminmax()  # one pass over the data; NaN is returned if there is any
    return float(torch.maximum(low.abs(), high.abs()))


def _agreed_magnitude(
    largest: float, x: Tensor, weights: Tensor | None, n_total: int | None, problem: InputError | None
) -> float:
    """Return the largest absolute value over all processes.

    Raises:
        InputError: a process has a problem, or its data have another form; raised on all processes.
    """
    form = [float(x.shape[-1] if x.ndim else 0), x.dtype.itemsize, float(weights is not None), float(n_total or 0)]
    values = [float(problem is not None), largest if problem is None else 0.0, *form, *(-value for value in form)]
    of_all = max_(torch.tensor(values, dtype=torch.float64, device=x.device)).tolist()
    if problem is not None:
        raise problem
    if of_all[0] > 0:
        raise InputError("another process has bad input for k-means; see its message")
    if of_all[2 : 2 + len(form)] != [-value for value in of_all[2 + len(form) :]]:
        raise InputError(
            "processes that share the data of k-means differ in its number of features, its dtype, n_total or whether "
            "there is a sample_weight; give the same on all"
        )
    return float(of_all[1])


def power_of_two_scale(largest: float, dtype: torch.dtype, largest_of_points: float = 0.0) -> float:
    """Return a power of two by which data are multiplied so that sums of squares neither overflow nor vanish.

    Args:
        largest: largest absolute value of the data.
        dtype: type of the data.
        largest_of_points: largest absolute value of points that the data are compared with. If it is much larger, the
            scale is only as small as these points need.
    """
    in_range, limit = _EXPONENT_RANGE[dtype], _LARGEST_EXPONENT[dtype]
    exponent = math.frexp(largest or largest_of_points)[1]
    shift = 0 if abs(exponent) <= in_range else -exponent
    if largest_of_points > 0.0:
        shift = min(shift, in_range - math.frexp(largest_of_points)[1])
    return math.ldexp(1.0, max(-limit, min(limit, shift)))  # subnormal data need less than their inverse


def unit_rows(x: Tensor, of_all: Callable[[Tensor], Tensor] = lambda n_zero: n_zero) -> Tensor:
    """Return rows, (n, D), scaled to unit length; a row may be as small as floating-point numbers can be.

    Args:
        x: rows, (n, D).
        of_all: function that sums the number of rows that are zero over processes.

    Raises:
        InputError: a row is zero.
    """
    norms = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if bool((norms < math.sqrt(torch.finfo(x.dtype).tiny) * math.sqrt(x.shape[1])).any()):
        x = _with_exponents_near_zero(x)
        norms = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    n_zero = int(of_all((norms == 0).sum()))
    if n_zero > 0:
        raise InputError(
            f"{n_zero} samples are zero and have no direction for spherical k-means; drop them, or spherical=False"
        )
    directions: Tensor = x / norms
    return directions


def _with_exponents_near_zero(x: Tensor) -> Tensor:
    """Multiply each row by a power of two so that its largest absolute value is between 1/2 and 1."""
    exponents = -torch.frexp(torch.linalg.vector_norm(x, torch.inf, dim=1, keepdim=True)).exponent
    half = exponents // 2  # the whole power may be too large to be a number
    return torch.ldexp(torch.ldexp(x, half), exponents - half)


def _center(samples: OwnedSamples) -> Tensor:
    """Return the mean, rounded to multiples of a power of two of about twice the spread, (D,), float64.

    Precise distances only need data near the origin; an exact mean of zero is not necessary. So the center of data that
    are already near the origin is zero, and they need no copy. A rounded center can be subtracted with little or no
    rounding error, and does not depend on the order of a sum.
    """
    x = samples.x
    sums = torch.zeros(samples.n_chunks, x.shape[1], dtype=torch.float64, device=x.device)
    spread = torch.zeros(samples.n_chunks, 2, dtype=torch.float64, device=x.device)
    for block in samples.blocks(x.shape[1]):
        rows = block.by_chunk(x[block.rows], 0)
        sums[block.numbers] = rows.mean(1) * float(rows.shape[1])
    mean: Tensor = samples.sum_(sums).sum(0) / samples.n_total
    for block in samples.blocks(x.shape[1]):
        few = block.by_chunk(x[block.rows], 0)[:, ::_SPREAD_STRIDE]
        spread[block.numbers, 0] = (few - mean).square().flatten(1).sum(1)
        spread[block.numbers, 1] = float(few[0].numel())
    squares, count = samples.sum_(spread).sum(0).tolist()
    if squares == 0.0:
        return mean.to(x.dtype).double()
    if float(mean.square().mean()) <= _NEAR_ORIGIN * squares / count:
        return torch.zeros_like(mean)
    step = math.ldexp(1.0, math.frexp(2.0 * math.sqrt(squares / count))[1])
    center: Tensor = (mean / step).round() * step
    return center


def _variance(samples: OwnedSamples) -> float:
    """Return the mean variance of the features over all processes."""
    x = samples.x
    if x.shape[1] == 0:
        return 0.0
    moments = torch.zeros(samples.n_chunks, x.shape[1] + 1, dtype=torch.float64, device=x.device)
    for block in samples.blocks(x.shape[1]):
        rows, norms = block.by_chunk(x[block.rows], 0), block.by_chunk(samples.norms[block.rows], 0)
        moments[block.numbers, :-1] = rows.mean(1) * float(rows.shape[1])
        moments[block.numbers, -1] = norms.square().sum(1, dtype=torch.float64)
    total = samples.sum_(moments).sum(0) / samples.n_total
    return max(0.0, float(total[-1] - total[:-1].square().sum())) / x.shape[1]
