"""Samples in a tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.loading.rows import Rows
from datamodules.loading.scaling import Scaling


class TensorRows(Rows):
    """Samples in a tensor, in main memory, mapped from a file or on an accelerator.

    Args:
        x: samples, (N, *input_shape), of any type.

    Attributes:
        x: the tensor.
    """

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.shape = x.shape
        self.dtype = x.dtype
        self.device = x.device

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        return self.x[rows] if isinstance(rows, slice) else self.x.index_select(0, rows)

    def subset(self, rows: Tensor) -> TensorRows:
        return TensorRows(self.x[rows])

    def to(self, device: torch.device) -> TensorRows:
        return TensorRows(self.x.to(device))

    def scaled(self, rows: slice | Tensor, scaling: Scaling, dtype: torch.dtype) -> Tensor:
        return scaling(self.x[rows], dtype) if isinstance(rows, slice) else scaling.gather(self.x, rows, dtype)
