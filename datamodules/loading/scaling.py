"""Scaling of inputs, learned on the training set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from datamodules.loading.file_rows import FileRows
from datamodules.loading.sparse import SparseRows
from lightning_dc.errors import InputError

_CHUNK_ROWS = 8192
_CHUNK_NUMBERS = 1 << 23  # of samples so wide that fewer rows have as many: 64 MiB in float64
_CHUNK_SPARSE_ROWS = 256  # made dense, to compare
_CHUNK_VALUES = 1 << 20
_ALL_THE_SAME = "every feature of x is constant, so all samples are the same; check how x is read"
WIDE = (torch.float64, torch.int32, torch.int64)
"""Types that float32 can't hold exactly: scaled in float64."""

ScalingName = Literal["rms", "standard", "unit", "none"]


class Scaling:
    """An affine map of the features.

    Args:
        shift: what is subtracted, () or one value a feature.
        factor: what the result is multiplied by, () or one value a feature.
        unit: each sample is divided by its root mean square first.

    Attributes:
        number: what all features are multiplied by, so that stored values of sparse samples can be scaled alone; None
            where features are shifted or have factors of their own.
    """

    def __init__(self, shift: Tensor, factor: Tensor, unit: bool = False) -> None:
        self.shift = shift
        self.factor = factor
        self.unit = unit
        is_linear = not unit and shift.ndim == 0 and factor.ndim == 0 and not shift.any()
        self.number = float(factor) if is_linear else None
        self._bags = torch.empty(0, dtype=torch.int64)
        self._numbers = torch.empty(0)

    @classmethod
    def learn(cls, name: ScalingName, x: Tensor | SparseRows | FileRows) -> Scaling:
        """Learn a scaling from training samples, in one pass that never holds more than a chunk of them in float64.

        Args:
            name: ``rms`` multiplies all by one number so that the mean of ||x||^2 / d is 1 (DEC, section 5);
                ``standard`` gives every feature mean 0 and variance 1; ``unit`` makes ||x||^2 / d of each sample 1, so
                that distances are those of cosines (a sample of zeros stays so); ``none`` leaves the samples as they
                are.
            x: samples, (N, *input_shape), finite. On sparse ones ``standard`` is refused, since it would
                make numbers of all zeros.

        Raises:
            InputError: values that do not differ, or ``standard`` on sparse samples.

        Example:
            >>> Scaling.learn("rms", torch.tensor([[3.0, 4.0], [0.0, 5.0]]))(torch.tensor([5.0]) * 2**-0.5)
            tensor([1.])
        """
        if isinstance(x, SparseRows):
            return cls._learn_sparse(name, x)
        origin = x[:1][0].double()  # sums from a sample on: no cancellation for features far from 0
        total = torch.zeros(x.shape[1:], dtype=torch.float64)
        deviations = torch.zeros(x.shape[1:], dtype=torch.float64)
        squares = torch.zeros(x.shape[1:], dtype=torch.float64)
        for _, chunk in _chunks(x):
            wide = chunk.double()
            squares += wide.square().sum(0)
            wide = wide - origin
            total += wide.sum(0)
            deviations += wide.square().sum(0)
        mean = origin + total / len(x)
        variance = (deviations / len(x) - (total / len(x)).square()).clamp_min(0.0)
        constant = variance <= 1e-12 * (deviations / len(x))
        if constant.all():
            raise InputError(_ALL_THE_SAME)
        if name in ("none", "unit"):
            return cls(torch.zeros(()), torch.ones(()), unit=name == "unit")
        if name == "rms":
            return cls(torch.zeros(()), (squares.sum() / len(x) / squares.numel()).rsqrt())
        if constant.any():
            raise InputError(
                f"{int(constant.sum())} features of x are constant (the first is number "
                f"{int(constant.flatten().int().argmax())}), so scaling='standard' would divide by 0; drop them or use "
                "scaling='rms'"
            )
        return cls(mean, variance.rsqrt())

    @classmethod
    def _learn_sparse(cls, name: ScalingName, x: SparseRows) -> Scaling:
        if name == "standard":
            raise InputError(
                "scaling='standard' would make numbers of all zeros of sparse samples; use scaling='rms' or 'none', or "
                "give a dense array"
            )
        first = x[:1]
        chunks = range(0, len(x), _CHUNK_SPARSE_ROWS)
        if all(bool((x[start : start + _CHUNK_SPARSE_ROWS] == first).all()) for start in chunks):  # ends soon
            raise InputError(_ALL_THE_SAME)
        if name in ("none", "unit"):
            return cls(torch.zeros(()), torch.ones(()), unit=name == "unit")
        squares = torch.zeros((), dtype=torch.float64)
        for _, values in x.values(_CHUNK_VALUES):
            squares += values.double().square().sum()
        return cls(torch.zeros(()), (squares / len(x) / x.shape[1]).rsqrt())

    def __call__(self, x: Tensor, dtype: torch.dtype | None = None, *, in_place: bool = False) -> Tensor:
        """Scale samples, (B, *input_shape), of any type.

        Samples of a type that float32 can't hold exactly are shifted in float64: features far from 0 keep their
        differences.

        Args:
            x: samples.
            dtype: floating type of the result; None keeps that of the samples, float32 for integers.
            in_place: the samples may be written to, which saves memory traffic where they have that type.
        """
        if dtype is None:
            dtype = x.dtype if x.dtype.is_floating_point else torch.float32
        wide = torch.float64 if x.dtype in WIDE else dtype
        in_place = in_place or x.dtype != wide  # a converted copy is ours
        x = x.to(wide)
        if self.number is not None:
            return (x.mul_(self.number) if in_place else x * self.number).to(dtype)
        if self.unit:
            size = x.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (x.ndim - 1))
            x = x / torch.where(size > 0, size, 1.0)
            in_place = True
        x = x.sub_(self.shift.to(x)) if in_place else x - self.shift.to(x)
        return x.mul_(self.factor.to(x)).to(dtype)

    def unscale(self, x: Tensor) -> Tensor | None:
        """Samples as they were before they were scaled, (B, *input_shape), float64.

        The map is affine, so means of samples come out as the means that they had; except with ``unit``, where each
        sample has a size of its own: there is no way back, and the result is None.
        """
        if self.unit:
            return None
        x = x.double()
        return x / self.factor.to(x) + self.shift.to(x)

    def take(self, x: Tensor, rows: Tensor, dtype: torch.dtype) -> Tensor:
        """Scaled samples by number, (B, *input_shape), with the same values as those of a call.

        In float32 in main memory, a number times a row is written where the row is copied: of bags of one row each,
        the weighted sums. That takes no longer than the copy.

        Args:
            x: all samples, (N, *input_shape), of any type.
            rows: numbers, (B,), int64.
            dtype: floating type of the result.
        """
        if self.number is None or x.dtype in WIDE:
            return self(x.index_select(0, rows), dtype, in_place=True)
        if x.dtype == dtype == torch.float32 and x.device.type == "cpu" and x.is_contiguous():
            n_rows = len(rows)
            if len(self._bags) < n_rows:
                self._bags, self._numbers = torch.arange(n_rows), torch.full((n_rows,), self.number)
            bags, numbers = self._bags[:n_rows], self._numbers[:n_rows]
            flat = x if x.ndim == 2 else x.flatten(1)
            taken = functional.embedding_bag(rows, flat, bags, mode="sum", per_sample_weights=numbers)
            return taken if x.ndim == 2 else taken.view(n_rows, *x.shape[1:])
        return x.index_select(0, rows).to(dtype).mul_(self.number)

    def state_dict(self) -> dict[str, Any]:
        """Shift, factor and unit."""
        return {"shift": self.shift, "factor": self.factor, "unit": self.unit}


def check_finite(x: Tensor | SparseRows | FileRows, name: str) -> None:
    """Look for values that are no finite numbers.

    Args:
        x: samples, (N, ...).
        name: what the message calls them.

    Raises:
        InputError: there is one; the message names the row of the first.
    """
    if not x.dtype.is_floating_point:
        return
    if isinstance(x, SparseRows):
        for start, values in x.values(_CHUNK_VALUES):
            finite = torch.isfinite(values)
            if not finite.all():
                raise _not_finite(name, x.row_of(start + int(finite.int().argmin())))
        return
    for start, chunk in _chunks(x):
        finite = torch.isfinite(chunk).flatten(1).all(1)
        if not finite.all():
            raise _not_finite(name, start + int(finite.int().argmin()))


def _chunks(x: Tensor | FileRows) -> Iterator[tuple[int, Tensor]]:
    """Some rows at a time, with the number of the first."""
    n_rows = max(1, min(_CHUNK_ROWS, _CHUNK_NUMBERS // max(1, math.prod(x.shape[1:]))))
    for start in range(0, len(x), n_rows):
        yield start, x[start : start + n_rows]


def _not_finite(name: str, row: int) -> InputError:
    return InputError(f"{name} holds NaN or infinite values, first in row {row}; remove or impute them")
