"""Sparse samples, dense only in a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class SparseRows:
    """Samples in a scipy CSR matrix, with what a loader needs of a tensor: rows come out dense.

    scipy's slicing of rows into a dense batch is about ten times as fast as a gather from torch's CSR tensors, and a
    third faster than a gather of stored values by NumPy: rows are copied whole.

    Args:
        matrix: samples, (N, F), of any index type; one without duplicate entries is not copied. See :meth:`of`.
    """

    def __init__(self, matrix: csr_array[Any]) -> None:
        self.matrix = matrix
        self.shape = torch.Size(matrix.shape)
        self.ndim = 2
        self.device = torch.device("cpu")
        self.dtype = torch.from_numpy(matrix.data[:0]).dtype

    @classmethod
    def of(cls, matrix: Any, name: str) -> SparseRows:
        """Take a user's matrix; it is never written to.

        Duplicate entries are summed, as scipy does.

        Args:
            matrix: any scipy sparse matrix or array.
            name: what messages call it.

        Raises:
            InputError: it isn't two-dimensional, holds no real numbers, or its index is broken.
        """
        from scipy.sparse import csr_array

        if matrix.ndim != 2:
            raise InputError(f"{name} has shape {matrix.shape}; sparse samples are (samples, features)")
        if matrix.dtype.kind not in "biuf":
            raise InputError(f"{name} has dtype {matrix.dtype}; give numbers")
        try:
            rows = checked_rows(matrix)
        except ValueError as error:
            raise InputError(f"{name} is no valid sparse matrix ({error}); build it again") from error
        rows = csr_array((_as_torch_can(rows.data), rows.indices, rows.indptr), shape=rows.shape, copy=False)
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        return cls(rows)

    def __len__(self) -> int:
        return self.shape[0]

    def dense(self, rows: slice | Tensor, factor: np.floating[Any] | None = None) -> Tensor:
        """Some samples, dense, (B, F).

        Args:
            rows: a range, or numbers.
            factor: what stored values are multiplied by, in the type that NumPy finds for both.
        """
        taken = self.matrix[rows if isinstance(rows, slice) else rows.numpy()]
        if factor is not None:
            taken.data = taken.data * factor  # before the zeros come between them
        return torch.from_numpy(taken.toarray())

    def __getitem__(self, rows: slice) -> Tensor:
        """A range of samples, dense, (B, F)."""
        return self.dense(rows)

    def subset(self, index: Tensor) -> SparseRows:
        """Samples by number, sparse."""
        return SparseRows(self.matrix[index.numpy()])

    def values(self, n_at_a_time: int) -> Iterator[tuple[int, Tensor]]:
        """Stored values in pieces, each with the place of its first."""
        for start in range(0, len(self.matrix.data), n_at_a_time):
            yield start, torch.from_numpy(self.matrix.data[start : start + n_at_a_time])

    def row_of(self, place: int) -> int:
        """Sample that a stored value belongs to."""
        return int(np.searchsorted(self.matrix.indptr, place, side="right")) - 1

    def join(self, other: SparseRows) -> SparseRows:
        """These samples, then others, sparse."""
        from scipy.sparse import vstack

        return SparseRows.of(vstack([self.matrix, other.matrix], format="csr"), "x")


def is_sparse(x: object) -> bool:
    """Whether it is a scipy sparse matrix or array."""
    from scipy.sparse import issparse

    return bool(issparse(x))


def _as_torch_can(values: Any) -> Any:
    """Numbers of a type that torch has, in its byte order."""
    values = values.astype(torch_dtype(values.dtype), copy=False)
    return values if values.flags.writeable else values.copy()  # torch warns of read-only memory


def torch_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Type that torch has for an array's numbers, in this machine's byte order."""
    if dtype in (np.uint16, np.uint32, np.uint64):
        return np.dtype(np.int64)
    if dtype.kind == "f" and dtype.itemsize > 8:
        return np.dtype(np.float64)
    return dtype.newbyteorder("=")


def checked_rows(matrix: Any) -> csr_array[Any]:
    """Rows of any scipy sparse matrix, as a matrix of its own around the same numbers where they are rows already.

    An index beyond the matrix would read and write foreign memory; scipy itself does not look.

    Raises:
        ValueError: the matrix's index is broken.
    """
    from scipy.sparse import csr_array

    if matrix.format in ("csr", "csc", "bsr"):
        matrix = type(matrix)((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape, copy=False)
        _check_index(matrix)  # conversion trusts it
    rows = csr_array(matrix)
    if matrix.format != "csr":
        _check_index(rows)
    return rows


def _check_index(matrix: Any) -> None:
    """Check the index of a compressed matrix, of which parts may be replaced."""
    pointer = matrix.indptr
    if pointer[0] != 0 or (np.diff(pointer) < 0).any():  # check_format looks no further where the last one is 0 or less
        raise ValueError("index pointer must ascend from 0")
    matrix.check_format(full_check=True)
