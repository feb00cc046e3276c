"""Scaling of inputs."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

INEXACT_IN_FLOAT32 = (torch.float64, torch.int32, torch.int64)
"""Types with values that float32 cannot hold exactly; such samples are scaled in float64."""

ScalingName = Literal["rms", "standard", "unit", "none", "columns"]


class Scaling:
    """An affine map of the features.

    Args:
        shift: number that is subtracted, () or one value a feature.
        factor: number that the result is multiplied by, () or one value a feature.
        unit: each sample is divided by its root mean square first.

    Attributes:
        common_factor: factor of all features if the map does nothing but multiply by it, so that of sparse samples
            only the stored values need to be scaled; None if features are shifted or have factors of their own.
    """

    def __init__(self, shift: Tensor, factor: Tensor, unit: bool = False) -> None:
        self.shift = shift
        self.factor = factor
        self.unit = unit
        is_linear = not unit and shift.ndim == 0 and factor.ndim == 0 and not shift.any()
        self.common_factor = float(factor) if is_linear else None
        self._bags = torch.empty(0, dtype=torch.int64)
        self._weights = torch.empty(0)

    def __call__(self, x: Tensor, dtype: torch.dtype | None = None, *, in_place: bool = False) -> Tensor:
        """Scale samples, (B, *input_shape), of any type.

        Samples of a type that float32 cannot hold exactly are shifted in float64, so that features far from 0 keep
        their differences.

        Args:
            x: samples.
            dtype: floating type of the result; None keeps the type of the samples, and makes float32 of integers.
            in_place: the samples may be overwritten, which saves memory traffic if they have that type.
        """
        if dtype is None:
            dtype = x.dtype if x.dtype.is_floating_point else torch.float32
        wide = torch.float64 if x.dtype in INEXACT_IN_FLOAT32 else dtype
        in_place = in_place or x.dtype != wide  # a converted copy belongs to this call
        x = x.to(wide)
        if self.common_factor is not None:
            return (x.mul_(self.common_factor) if in_place else x * self.common_factor).to(dtype)
        if self.unit:
            size = x.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (x.ndim - 1))
            x = x / torch.where(size > 0, size, 1.0)
            in_place = True
        x = x.sub_(self.shift.to(x)) if in_place else x - self.shift.to(x)
        return x.mul_(self.factor.to(x)).to(dtype)

    def unscale(self, x: Tensor) -> Tensor | None:
        """Return samples as they were before they were scaled, (B, *input_shape), float64.

        The map is affine, so means of scaled samples become the means of the samples. The exception is ``unit``: there
        each sample has been divided by its own size, which is not known any more, and the result is None.
        """
        if self.unit:
            return None
        x = x.double()
        return x / self.factor.to(x) + self.shift.to(x)

    def gather(self, x: Tensor, rows: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the scaled samples of some rows, (B, *input_shape), with the values that a call gives.

        Rows of float32 in main memory are multiplied by a common factor while they are copied: an embedding bag
        returns the weighted sums of bags of one row each. This takes no longer than the copy alone. It gives 0 for -0.

        Args:
            x: all samples, (N, *input_shape), of any type.
            rows: row numbers, (B,), int64.
            dtype: floating type of the result.
        """
        if self.common_factor is None or x.dtype in INEXACT_IN_FLOAT32:
            return self(x.index_select(0, rows), dtype, in_place=True)
        if not (x.dtype == dtype == torch.float32 and x.device.type == "cpu" and x.is_contiguous()):
            return x.index_select(0, rows).to(dtype).mul_(self.common_factor)
        n_rows = len(rows)
        if len(self._bags) < n_rows:
            self._bags, self._weights = torch.arange(n_rows), torch.full((n_rows,), self.common_factor)
        bags, weights = self._bags[:n_rows], self._weights[:n_rows]
        flat = x if x.ndim == 2 else x.flatten(1)
        gathered = functional.embedding_bag(rows, flat, bags, mode="sum", per_sample_weights=weights)
        return gathered if x.ndim == 2 else gathered.view(n_rows, *x.shape[1:])

    def state_dict(self) -> dict[str, Any]:
        """Return shift, factor and unit."""
        return {"shift": self.shift, "factor": self.factor, "unit": self.unit}
