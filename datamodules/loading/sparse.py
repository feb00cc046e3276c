"""Sparse samples, of which only a batch is dense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datamodules.loading.rows import Rows
from datamodules.loading.scaling import INEXACT_IN_FLOAT32, Scaling
from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_CHUNK_VALUES = 1 << 20


class SparseRows(Rows):
    """Samples in a scipy CSR matrix, in main memory.

    scipy slices rows into a dense batch about ten times as fast as a gather from torch's CSR tensors, and a third
    faster than a gather of stored values by NumPy, since it copies whole rows.

    Args:
        matrix: samples, (N, F), with an index of any integer type and without duplicate entries; it is not copied. Use
            :meth:`of` for a matrix that has not been checked.
    """

    def __init__(self, matrix: csr_array[Any]) -> None:
        self.matrix = matrix
        self.shape = torch.Size(matrix.shape)
        self.device = torch.device("cpu")
        self.dtype = torch.from_numpy(matrix.data[:0]).dtype

    @classmethod
    def of(cls, matrix: Any, name: str) -> SparseRows:
        """Check a user's matrix and take its rows; the matrix is never written to.

        Duplicate entries are summed, as scipy does.

        Args:
            matrix: any scipy sparse matrix or array.
            name: name of the samples in messages.

        Raises:
            InputError: the matrix is not two-dimensional, does not hold real numbers, or its index is broken.
        """
        from scipy.sparse import csr_array

        if matrix.ndim != 2:
            raise InputError(f"{name} has shape {matrix.shape}; sparse samples are (samples, features)")
        if matrix.dtype.kind not in "biuf":
            raise InputError(f"{name} has dtype {matrix.dtype}; give numbers")
        try:
            rows = checked_csr(matrix)
        except ValueError as error:
            raise InputError(f"{name} is no valid sparse matrix ({error}); build it again") from error
        rows = csr_array((_for_torch(rows.data), rows.indices, rows.indptr), shape=rows.shape, copy=False)
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        return cls(rows)

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        return torch.from_numpy(self._choose(rows).toarray())

    def scaled(self, rows: slice | Tensor, scaling: Scaling, dtype: torch.dtype) -> Tensor:
        if scaling.common_factor is None:
            return scaling(self[rows], dtype, in_place=True)
        wide = self.dtype in INEXACT_IN_FLOAT32 or dtype == torch.float64
        factor = (np.float64 if wide else np.float32)(scaling.common_factor)
        chosen = self._choose(rows)
        chosen.data = chosen.data * factor  # before the zeros are filled in
        return torch.from_numpy(chosen.toarray()).to(dtype)

    def subset(self, rows: Tensor) -> SparseRows:
        return SparseRows(self._choose(rows))

    def to(self, device: torch.device) -> SparseRows:
        raise InputError(
            "keep_on_device=True needs dense samples, but these are sparse and would have to be made dense as a whole; "
            "leave it out, or give a dense array"
        )

    def values(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the stored values in pieces, each with the position of its first value."""
        for start in range(0, len(self.matrix.data), _CHUNK_VALUES):
            yield start, torch.from_numpy(self.matrix.data[start : start + _CHUNK_VALUES])

    def first_not_finite(self) -> int | None:
        for start, values in self.values():
            finite = torch.isfinite(values)
            if not finite.all():
                return self._row_of(start + int(finite.int().argmin()))
        return None

    def join(self, other: SparseRows) -> SparseRows:
        """Return these samples followed by others."""
        from scipy.sparse import vstack

        return SparseRows.of(vstack([self.matrix, other.matrix], format="csr"), "x")

    def _choose(self, rows: slice | Tensor) -> csr_array[Any]:
        return self.matrix[rows if isinstance(rows, slice) else rows.numpy()]

    def _row_of(self, position: int) -> int:
        """Return the row of the stored value at a position."""
        return int(np.searchsorted(self.matrix.indptr, position, side="right")) - 1


def is_sparse(x: object) -> bool:
    """Tell whether an object is a scipy sparse matrix or array."""
    from scipy.sparse import issparse

    return bool(issparse(x))


def torch_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the NumPy type in which torch can hold numbers of a type, in this machine's byte order."""
    if dtype in (np.uint16, np.uint32, np.uint64):
        return np.dtype(np.int64)
    if dtype.kind == "f" and dtype.itemsize > 8:
        return np.dtype(np.float64)
    return dtype.newbyteorder("=")


def checked_csr(matrix: Any) -> csr_array[Any]:
    """Convert any scipy sparse matrix to CSR after a check of its index.

    With an index beyond the matrix, scipy would read and write foreign memory; it does not check that itself.

    Returns:
        A new matrix, around the same numbers if the matrix was CSR already.

    Raises:
        ValueError: the index of the matrix is broken.
    """
    from scipy.sparse import csr_array

    if matrix.format in ("csr", "csc", "bsr"):
        matrix = type(matrix)((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape, copy=False)
        _check_index(matrix)  # the conversion trusts the index
    rows = csr_array(matrix)
    if matrix.format != "csr":
        _check_index(rows)
    return rows


def _check_index(matrix: Any) -> None:
    """Check the index of a compressed matrix; scipy may replace parts of the matrix in the course of it."""
    pointer = matrix.indptr
    if pointer[0] != 0 or (np.diff(pointer) < 0).any():  # check_format looks no further if the last one is 0 or less
        raise ValueError("index pointer must ascend from 0")
    matrix.check_format(full_check=True)


def _for_torch(values: Any) -> Any:
    """Return numbers in a type that torch has, in writable memory: torch warns if memory is read-only."""
    values = values.astype(torch_dtype(values.dtype), copy=False)
    return values if values.flags.writeable else values.copy()
