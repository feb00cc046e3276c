"""The data of k-means: checked, centred, scaled, with their norms, weights and owners."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE, max_, owned_chunks, sum_
from lightning_dc.errors import InputError

_EXPONENT_RANGE = {torch.float32: 40, torch.float64: 400}  # squares, summed over features, neither overflow nor vanish
_NEAR = 4.0  # squared distance of the mean from the origin, in variances, that costs no precision worth a copy
_LEAST_WEIGHT = 1e-150  # sums of weights, and of weighted samples, neither overflow nor vanish
_SPREAD_STRIDE = 64  # every so many-th row tells the spread of the data


@dataclass(frozen=True)
class Samples:
    """This process's rows of the data.

    Rows are held as (x - center) * scale. The center is zero wherever the data are close enough to the origin, so that
    they need no copy; the scale is a power of two, so that nothing is rounded.

    Attributes:
        x: rows, (n, D), float32 or float64, contiguous.
        norms: Euclidean norm of each row, (n,), dtype of ``x``.
        weights: weight of each row, (n,), float64; None is 1 for each.
        chunks: the rows of each chunk that this process owns, among its own.
        chunk_numbers: which chunks of the whole data they are, (len(chunks),).
        n_total: rows of all processes, N.
        shared: whether the rows are spread over processes; if not, no process waits for another.
        center: (D,), float64.
        scale: a power of two.
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
        """Chunks of the whole data."""
        return -(-self.n_total // CHUNK_SIZE)

    def sum_(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the processes that share the data, in place."""
        return sum_(tensor) if self.shared else tensor

    def per_chunk(self, values: Tensor) -> Tensor:
        """Sums of values, (R, n), over each chunk of the whole data, (R, chunks), float64; not yet reduced.

        Every sum has one owner and its own order, so that totals do not depend on the number of processes.
        """
        sums = torch.zeros(len(values), self.n_chunks, dtype=torch.float64, device=values.device)
        for number, rows in zip(self.chunk_numbers.tolist(), self.chunks, strict=True):
            sums[:, number] = values[:, rows].sum(1, dtype=torch.float64)
        return sums

    def restore(self, centroids: Tensor) -> Tensor:
        """Centroids, (..., K, D), float64, in the units of the data that were given, in their dtype."""
        return (centroids / self.scale + self.center).to(self.x.dtype)

    def project(self, centroids: Tensor) -> Tensor:
        """Centroids in the units of the data that were given, (..., K, D), as float64 in those of ``x``."""
        return (centroids.to(self.x.device, torch.float64) - self.center) * self.scale


def as_float(x: Tensor) -> Tensor:
    """A matrix of samples in float32, or in float64 if it comes so or as integers that float32 may not hold.

    Raises:
        InputError: not a matrix, or complex numbers.
    """
    if x.ndim != 2:
        raise InputError(f"x of k-means must be a matrix (N, D), got shape {tuple(x.shape)}; flatten it first")
    if x.is_complex():
        raise InputError(f"x of k-means holds {x.dtype}; give real numbers")
    wide = not x.is_floating_point() and x.dtype.itemsize >= 4
    return x.detach().to(torch.float64 if wide else torch.promote_types(x.dtype, torch.float32))


def as_weights(weights: Tensor, x: Tensor) -> Tensor:
    """Weights of samples (N, D), (N,), in float64 on the device of the samples.

    Raises:
        InputError: not one finite number of at least 0 a sample.
    """
    try:
        weights = torch.as_tensor(weights).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"sample_weight of k-means holds no numbers ({error}); give one weight a sample") from error
    if weights.is_complex():
        raise InputError(f"sample_weight of k-means holds {weights.dtype}; give real numbers")
    if weights.shape != (len(x),):
        raise InputError(f"sample_weight has shape {tuple(weights.shape)}; give one weight a sample, ({len(x)},)")
    weights = weights.to(x.device, torch.float64).contiguous()
    if not bool(((weights >= 0) & (weights < math.inf)).all()):
        raise InputError("sample_weight holds negative, infinite or NaN values; give finite weights of at least 0")
    largest = float(weights.max()) if len(weights) > 0 else 0.0
    if largest > 0 and not _LEAST_WEIGHT <= largest <= 1 / _LEAST_WEIGHT:
        raise InputError(f"the largest sample_weight is {largest:.3g}, too far from 1 to add up; divide all by it")
    return weights


def check_arguments(n_samples: int, n_clusters: int, n_init: int) -> None:
    """Check what seeding and iterations have in common.

    Raises:
        InputError: an argument out of range.
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
) -> Samples:
    """Check this process's rows and bring them into a form in which distances keep their precision.

    If rows are spread over processes and some are bad on one of them, every process raises.

    Args:
        x: rows, (n, D).
        sample_weight: their weights, (n,), not negative; None is 1 for each.
        n_total: rows of all processes; None if ``x`` holds them all.
        spherical: rows are normalised to unit length, and not centred.
        check: further checks, given N and D; raises an ``InputError``.

    Raises:
        InputError: not a matrix, values that are not finite, weights that do not fit, not the rows that this process
            owns, a zero row in spherical k-means, what ``check`` raises, or any of these on another process.
    """
    shared = n_total is not None
    chunks: list[slice] = []
    numbers = torch.empty(0, dtype=torch.int64)
    weights, problem, largest = None, None, 0.0
    try:
        x = as_float(x)
        chunks, numbers = _chunks(len(x), n_total)
        weights = None if sample_weight is None else as_weights(sample_weight, x)
        if check is not None:
            check(len(x) if n_total is None else n_total, x.shape[1])
        largest = _largest(x)
        if not math.isfinite(largest):
            raise InputError(
                "the data of k-means hold NaN or infinite values; clean the inputs or lower the learning rate"
            )
    except InputError as error:
        if not shared:
            raise
        problem = error
    if shared:
        largest = _agree(largest, x, weights, n_total, problem)
    scale = _scale(largest, x.dtype)
    x = (x if scale == 1.0 else x * scale).contiguous()
    total = len(x) if n_total is None else n_total
    center = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    samples = Samples(x, x.new_zeros(0), weights, chunks, numbers, total, shared, center, scale, 0.0)
    if spherical:
        x = _normalise(samples)
    else:
        center = _center(samples)
        if bool((center != 0).any()):
            x = x - center.to(x.dtype)
    norms = torch.linalg.vector_norm(x, dim=1)
    samples = Samples(x, norms, weights, chunks, numbers, total, shared, center / scale, scale, 0.0)
    return Samples(x, norms, weights, chunks, numbers, total, shared, center / scale, scale, _variance(samples))


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Neither autocast nor short-cuts in float32 products (TF32, bfloat16) while k-means runs."""
    restore = _full_products()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        restore()


def _full_products() -> Callable[[], None]:
    """Make float32 products full ones; returns what brings back the state before.

    From torch 2.9 on there is a setting a backend, and the function that used to set all of them raises once a user has
    set one of these. The settings of the backends also tell, and restore, what that function has set.
    """
    backends = [torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)]
    if not all(hasattr(backend, "fp32_precision") for backend in backends):
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        return lambda: torch.set_float32_matmul_precision(precision)
    before: list[tuple[Any, str]] = [(backend, cast(Any, backend).fp32_precision) for backend in backends]
    changed = [(backend, precision) for backend, precision in before if precision not in ("none", "ieee")]
    for backend, _ in changed:
        backend.fp32_precision = "ieee"

    def restore() -> None:
        for backend, precision in changed:
            backend.fp32_precision = "none"  # a setting that came from a more general one goes on following it
            if backend.fp32_precision != precision:
                backend.fp32_precision = precision

    return restore


def _chunks(n_rows: int, n_total: int | None) -> tuple[list[slice], Tensor]:
    """Chunks among the rows of this process, and their numbers in the whole data."""
    if n_total is None:
        starts = range(0, n_rows, CHUNK_SIZE)
        return [slice(start, min(start + CHUNK_SIZE, n_rows)) for start in starts], torch.arange(len(starts))
    owned = owned_chunks(n_total)
    if n_rows != sum(rows.stop - rows.start for rows in owned):
        raise InputError(f"x has {n_rows} rows; of n_total={n_total} this process owns those of owned_rows({n_total})")
    local = [slice(i * CHUNK_SIZE, i * CHUNK_SIZE + rows.stop - rows.start) for i, rows in enumerate(owned)]
    return local, torch.tensor([rows.start // CHUNK_SIZE for rows in owned], dtype=torch.int64)


def _largest(x: Tensor) -> float:
    """Largest absolute value of this process; not finite if any value is not."""
    if x.numel() == 0:
        return 0.0
    low, high = x.aminmax()  # one pass; NaN wins
    return float(torch.maximum(low.abs(), high.abs()))


def _agree(largest: float, x: Tensor, weights: Tensor | None, n_total: int | None, problem: InputError | None) -> float:
    """Largest absolute value over all processes; all of them raise if any has a problem or another form of data."""
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


def _scale(largest: float, dtype: torch.dtype) -> float:
    exponent = math.frexp(largest)[1]
    return 1.0 if largest == 0.0 or abs(exponent) <= _EXPONENT_RANGE[dtype] else math.ldexp(1.0, -exponent)


def _normalise(samples: Samples) -> Tensor:
    """Rows at unit length."""
    norms = torch.linalg.vector_norm(samples.x, dim=1, keepdim=True)
    n_zero = samples.sum_((norms == 0).sum())
    if int(n_zero) > 0:
        raise InputError(
            f"{int(n_zero)} samples are zero and have no direction for spherical k-means; drop them, or spherical=False"
        )
    directions: Tensor = samples.x / norms
    return directions


def _center(samples: Samples) -> Tensor:
    """The mean, rounded to multiples of a power of two of about twice the spread, (D,), float64.

    Distances need the data near the origin, not centred to the last bit: data that lie there already need no copy. A
    rounded center is subtracted with little or no rounding, and does not depend on the order of a sum.
    """
    x = samples.x
    sums = torch.zeros(samples.n_chunks, x.shape[1], dtype=torch.float64, device=x.device)
    for number, rows in zip(samples.chunk_numbers.tolist(), samples.chunks, strict=True):
        sums[number] = x[rows].mean(0) * float(rows.stop - rows.start)
    mean: Tensor = samples.sum_(sums).sum(0) / samples.n_total
    spread = torch.zeros(samples.n_chunks, 2, dtype=torch.float64, device=x.device)
    for number, rows in zip(samples.chunk_numbers.tolist(), samples.chunks, strict=True):
        few = x[rows][::_SPREAD_STRIDE]
        spread[number, 0], spread[number, 1] = (few - mean).square().sum(), few.numel()
    squares, count = samples.sum_(spread).sum(0).tolist()
    if squares == 0.0:
        return mean.to(x.dtype).double()
    if float(mean.square().mean()) <= _NEAR * squares / count:
        return torch.zeros_like(mean)
    step = math.ldexp(1.0, math.frexp(2.0 * math.sqrt(squares / count))[1])
    center: Tensor = (mean / step).round() * step
    return center


def _variance(samples: Samples) -> float:
    """Mean variance of the features over all processes."""
    x = samples.x
    if x.shape[1] == 0:
        return 0.0
    moments = torch.zeros(samples.n_chunks, x.shape[1] + 1, dtype=torch.float64, device=x.device)
    for number, rows in zip(samples.chunk_numbers.tolist(), samples.chunks, strict=True):
        moments[number, :-1] = x[rows].mean(0) * float(rows.stop - rows.start)
        moments[number, -1] = samples.norms[rows].square().sum(dtype=torch.float64)
    total = samples.sum_(moments).sum(0) / samples.n_total
    return max(0.0, float(total[-1] - total[:-1].square().sum())) / x.shape[1]
