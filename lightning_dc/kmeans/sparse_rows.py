"""Rows of a sparse matrix that become dense when they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dc.errors import InputError

_ELEMENTS = 1 << 24  # dense elements held at a time: 128 MiB in float64


class SparseRows:
    """Rows of a scipy sparse matrix, (N, D), that are indexed like those of a tensor and then are dense.

    Args:
        matrix: matrix in the format CSR; integers and booleans become floating-point numbers like those of a tensor.

    Raises:
        InputError: the matrix does not hold real numbers.
    """

    def __init__(self, matrix: Any) -> None:
        kind, size = matrix.dtype.kind, matrix.dtype.itemsize
        if kind not in "fiub":
            reason = "Complex data not supported: " if kind == "c" else ""
            raise InputError(f"{reason}x of k-means holds {matrix.dtype}; give real numbers")
        wide = size > 4 if kind == "f" else size >= 4
        self._matrix = matrix.astype(np.float64 if wide else np.float32, copy=False)
        self.shape: tuple[int, int] = tuple(matrix.shape)
        self.dtype = torch.float64 if wide else torch.float32
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Return rows as a dense matrix, (n, D)."""
        chosen = self._matrix[rows.cpu().numpy() if isinstance(rows, Tensor) else rows]
        return torch.from_numpy(np.ascontiguousarray(chosen.toarray()))

    def __mul__(self, factor: float) -> SparseRows:
        """Return the rows multiplied by a number."""
        return SparseRows(self._matrix * self._matrix.dtype.type(factor))

    def largest_magnitude(self) -> float:
        """Return the largest absolute value, which is not finite if any value is not finite."""
        return float(np.abs(self._matrix.data).max(initial=0.0))

    def blocks(self) -> Iterator[Tensor]:
        """Yield all rows in order, some at a time, as dense matrices."""
        n_rows = max(1, _ELEMENTS // max(1, self.shape[1]))
        for start in range(0, max(1, len(self)), n_rows):
            yield self[start : start + n_rows]

    def mean_variance(self) -> float:
        """Return the mean variance of the features."""
        squares = self._matrix.multiply(self._matrix).sum(0, dtype=np.float64)
        means = self._matrix.sum(0, dtype=np.float64) / len(self)
        return float(np.mean(np.asarray(squares) / len(self) - np.square(np.asarray(means))))
