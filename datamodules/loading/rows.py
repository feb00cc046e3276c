"""Base class of samples in any form of storage."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from datamodules.loading.scaling import Scaling
from lightning_dc.errors import InputError

_CHUNK_ROWS = 8192
_CHUNK_NUMBERS = 1 << 23  # limit for wide samples, of which a chunk has fewer rows: 64 MiB in float64


class Rows(ABC):
    """Base class of the samples of a data set, which may be in memory, sparse or in a file.

    Wherever the samples are, a range or a choice of them comes out as a dense tensor.

    Attributes:
        shape: shape of all samples, (N, *input_shape).
        dtype: type of the numbers of a dense tensor of samples.
        device: device of a dense tensor of samples.
    """

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    @abstractmethod
    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Return samples as a dense tensor, (B, *input_shape).

        Args:
            rows: a range, or row numbers, (B,), int64, in any order; a row may come more than once.
        """

    @abstractmethod
    def subset(self, rows: Tensor) -> Rows:
        """Return the samples of these rows in the same form of storage.

        Args:
            rows: row numbers, (n,), int64, ascending.
        """

    @abstractmethod
    def to(self, device: torch.device) -> Rows:
        """Return the samples on a device.

        Raises:
            InputError: samples in this form of storage cannot be moved to a device.
        """

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of dimensions of :attr:`shape`."""
        return len(self.shape)

    def scaled(self, rows: slice | Tensor, scaling: Scaling, dtype: torch.dtype) -> Tensor:
        """Return scaled samples, (B, *input_shape).

        Args:
            rows: a range or row numbers, as for indexing.
            scaling: scaling of the samples.
            dtype: floating type of the result.
        """
        return scaling(self[rows], dtype, in_place=isinstance(rows, Tensor))  # a range may be a view

    def chunks(self) -> Iterator[tuple[int, Tensor]]:
        """Yield all samples, some rows at a time, each chunk with the number of its first row."""
        n_rows = max(1, min(_CHUNK_ROWS, _CHUNK_NUMBERS // max(1, math.prod(self.shape[1:]))))
        for start in range(0, len(self), n_rows):
            yield start, self[start : start + n_rows]

    def first_not_finite(self) -> int | None:
        """Return the number of the first row that holds NaN or an infinite value; None if there is none."""
        for start, chunk in self.chunks():
            finite = torch.isfinite(chunk).flatten(1).all(1)
            if not finite.all():
                return start + int(finite.int().argmin())
        return None


def check_finite(x: Rows, name: str) -> None:
    """Check that all values of samples are finite numbers.

    Args:
        x: the samples.
        name: name of the samples in messages.

    Raises:
        InputError: a value is NaN or infinite; the message names the row of the first.
    """
    row = x.first_not_finite() if x.dtype.is_floating_point else None
    if row is not None:
        raise InputError(f"{name} holds NaN or infinite values, first in row {row}; remove or impute them")
