"""Samples in a file, of which only the rows that are asked for are in memory."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.loading.rows import Rows
from datamodules.loading.sparse import torch_dtype
from lightning_dc.errors import InputError

_DENSE_ENOUGH = 4  # a range of rows is read as a whole if at least one row in four is wanted
_PIECE_BYTES = 1 << 26  # limit of what is read at a time, since rows that are not wanted take memory, too


class FileRows(Rows):
    """Samples in C order in a file, which are read when they are asked for.

    Rows are read, not mapped: the pages of a mapping count as resident memory for as long as the system keeps them, and
    random access to a mapping reads a page for each row. The file stays open, so that it may be replaced or removed
    without a change of these samples. A pickled copy opens the file again and needs the same file, by size and time.

    Args:
        path: the file.
        offset: number of bytes before the first sample.
        shape: shape of all samples in the file, (N, *input_shape).
        dtype: NumPy's type of the numbers in the file.
        rows: numbers of the rows that belong to the data set, ascending, (n,), int64; None for all.
        descriptor: descriptor of the open file, which the object takes over; None opens the path.

    Raises:
        InputError: the file is shorter than its shape says, or has changed when a copy opens it.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        rows: Tensor | None = None,
        descriptor: int | None = None,
    ) -> None:
        self.path = path
        self._keep_open(os.open(path, os.O_RDONLY) if descriptor is None else descriptor)
        self.offset = offset
        self.rows = rows
        self._shape = tuple(shape)
        self._dtype = dtype
        self._native = torch_dtype(dtype)
        self.shape = torch.Size((shape[0] if rows is None else len(rows), *shape[1:]))
        self.dtype = torch.from_numpy(np.empty(0, self._native)).dtype
        self.device = torch.device("cpu")
        self.row_bytes = math.prod(shape[1:]) * dtype.itemsize
        size, needed = os.fstat(self._descriptor).st_size, offset + shape[0] * self.row_bytes
        if size < needed:
            raise InputError(f"{path}: holds {size} bytes, but its header {tuple(shape)} needs {needed}; get it again")

    @classmethod
    def of_npy(cls, path: Path) -> FileRows:
        """Return the samples of a ``.npy`` file.

        Raises:
            InputError: the file is shorter than its header says.
        """
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            return cls(path, file.tell(), shape, dtype, descriptor=os.dup(file.fileno()))

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        if isinstance(rows, Tensor):
            return self._read_in_any_order(rows if self.rows is None else self.rows[rows])
        start, stop, _ = rows.indices(len(self))
        if self.rows is None:
            return self._read(start, max(start, stop))
        return self._read_ascending(self.rows[start:stop])

    def read_into(self, rows: slice, out: Tensor) -> None:
        """Write a range of samples to a tensor of their shape and type, without a copy if the file has that type."""
        start, stop, _ = rows.indices(len(self))
        if self.rows is None and self._native == self._dtype:
            self._fill(start, out.numpy())
        else:
            out.copy_(self[start:stop])

    def subset(self, rows: Tensor) -> FileRows:
        in_file = rows if self.rows is None else self.rows[rows]
        return FileRows(self.path, self.offset, self._shape, self._dtype, in_file, os.dup(self._descriptor))

    def to(self, device: torch.device) -> FileRows:
        raise InputError(
            "keep_on_device=True needs dense samples, but these are in a file and would be read as a whole; leave it "
            "out, or give a dense array"
        )

    def _read_in_any_order(self, in_file: Tensor) -> Tensor:
        """Read rows of the file in the order of their numbers, (B,), which may repeat."""
        ascending, position = in_file.sort()
        out = torch.empty((len(in_file), *self.shape[1:]), dtype=self.dtype)
        out[position] = self._read_ascending(ascending)
        return out

    def _read_ascending(self, wanted: Tensor) -> Tensor:
        """Read rows of the file whose numbers, (B,), ascend and may repeat."""
        n_together = max(1, _PIECE_BYTES // _DENSE_ENOUGH // max(1, self.row_bytes))
        pieces = [torch.empty((0, *self.shape[1:]), dtype=self.dtype)]
        for piece in torch.split(wanted, n_together):
            if len(piece) == 0:
                continue
            first, last = int(piece[0]), int(piece[-1])
            if last - first < _DENSE_ENOUGH * len(piece):
                pieces.append(self._read(first, last + 1)[piece - first])
            else:
                pieces += [self._read(row, row + 1) for row in piece.tolist()]
        return torch.cat(pieces)

    def _read(self, start: int, stop: int) -> Tensor:
        """Read a range of rows of the file."""
        array: NDArray[Any] = np.empty((stop - start, *self.shape[1:]), self._dtype)
        self._fill(start, array)
        return torch.from_numpy(array.astype(self._native, copy=False))

    def _fill(self, start: int, array: NDArray[Any]) -> None:
        """Fill an array of the file's type with rows of the file, from row ``start`` on."""
        view = memoryview(array.reshape(-1).view(np.uint8).data)
        position = self.offset + start * self.row_bytes
        done = 0
        while done < len(view):  # a call reads at most 2 GiB
            n_read = os.preadv(self._descriptor, [view[done:]], position + done)
            if not n_read:
                raise InputError(f"{self.path}: ends at row {start + done // self.row_bytes}; get it again")
            done += n_read

    def _keep_open(self, descriptor: int) -> None:
        """Keep the file open for as long as this object lives, and note its size and time."""
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)
        status = os.fstat(descriptor)
        self._version = status.st_size, status.st_mtime_ns

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_descriptor"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        try:
            self._keep_open(os.open(self.path, os.O_RDONLY))
        except OSError as error:
            raise InputError(
                f"{self.path}: can't be opened again ({error.strerror}); leave it while it is read"
            ) from error
        if self._version != state["_version"]:
            raise InputError(f"{self.path}: has changed since it was opened; leave it while it is read")
