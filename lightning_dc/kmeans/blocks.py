"""Sizes of the blocks of rows that k-means processes together."""

from __future__ import annotations

from typing import NamedTuple

import torch

_ELEMENTS_ELSEWHERE = 1 << 26  # 256 MiB in float32: on a GPU each block costs launches, and there is no cache to fit


def rows_at_a_time(device: torch.device, columns: int, on_cpu: int) -> int:
    """Return how many rows of intermediate results are computed together on a device, at least 1.

    Args:
        device: device of the rows.
        columns: number of intermediate elements of a row.
        on_cpu: number of elements that fit into the cache of a CPU; other devices get ``2**26``.
    """
    return max(1, (on_cpu if device.type == "cpu" else _ELEMENTS_ELSEWHERE) // max(1, columns))


class Block(NamedTuple):
    """Consecutive chunks of a process that have the same length.

    Attributes:
        rows: rows of the block on this process.
        numbers: numbers of its chunks in the whole data.
        n_chunks: number of its chunks C.
    """

    rows: slice
    numbers: slice
    n_chunks: int

    def by_chunk(self, values: torch.Tensor, dim: int) -> torch.Tensor:
        """Split the dimension of the rows of the block, (..., rows, ...), into (..., C, rows of a chunk, ...)."""
        return torch.unflatten(values, dim, (self.n_chunks, -1))
