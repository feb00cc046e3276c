"""Who owns which rows of the training set, and collectives that do nothing on one process."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

CHUNK_SIZE = 4096
"""Rows of the training set with one owner. A constant: results must not depend on batch size or number of processes."""


def world() -> tuple[int, int]:
    """Rank of this process and number of processes; ``(0, 1)`` without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def owned_chunks(n_total: int) -> list[slice]:
    """Rows of each chunk of this process: chunk c of ``CHUNK_SIZE`` rows belongs to rank c mod W."""
    rank, world_size = world()
    starts = range(rank * CHUNK_SIZE, n_total, world_size * CHUNK_SIZE)
    return [slice(start, min(start + CHUNK_SIZE, n_total)) for start in starts]


def owned_rows(n_total: int) -> Tensor:
    """Numbers of the rows of this process, in order, (n,), int64."""
    chunks = [torch.arange(rows.start, rows.stop) for rows in owned_chunks(n_total)]
    return torch.cat([torch.empty(0, dtype=torch.int64), *chunks])


def sum_(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place.

    With one owner for each element (zeros elsewhere) the sum is exact, whatever the number of processes.
    """
    if world()[1] > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.SUM)
    return tensor


def max_(tensor: Tensor) -> Tensor:
    """Largest value of each element over all processes, in place."""
    if world()[1] > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor


def broadcast_(tensor: Tensor) -> Tensor:
    """Overwrite a tensor, in place, by its value on rank 0."""
    if world()[1] > 1:
        dist.broadcast(tensor, src=0)
    return tensor
