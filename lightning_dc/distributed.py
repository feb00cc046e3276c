"""Who owns which rows of the training set, and collectives that do nothing on one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


@contextmanager
def failing_together(device: torch.device) -> Iterator[None]:
    """Raise on all processes, at the end, what is raised on one: else the others would wait for it in what comes next.

    The block is one in which processes do not wait for one another: work of the first one alone, mostly.

    Args:
        device: where processes exchange tensors.

    Raises:
        RuntimeError: another process has failed.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    try:
        n_failed = sum_(torch.tensor(int(error is not None), device=device))
    finally:  # another process may be gone
        if error is not None:
            raise error
    if int(n_failed) > 0:
        raise RuntimeError("another process has failed; see its message")


def own_of_batch(rows: Tensor) -> Tensor:
    """Rows of this process of a global batch: r, r + W, ... of rank r."""
    rank, world_size = world()
    return rows[rank::world_size]


def gather_batch(rows: Tensor) -> Tensor:
    """The global batch of which each process has its rows, (B, ...), in order; gradients find their way back.

    Args:
        rows: those of :func:`own_of_batch`.
    """
    return rows if world()[1] == 1 else _GatherBatch.apply(rows)  # type: ignore[no-untyped-call]


class _GatherBatch(torch.autograd.Function):
    """Its gradient adds up those of all processes, since each may depend on every row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        n_rows = int(sum_(torch.tensor(len(rows), device=rows.device)))
        batch = rows.new_zeros(n_rows, *rows.shape[1:])
        own_of_batch(batch).copy_(rows)
        return sum_(batch)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return own_of_batch(sum_(gradients[0].clone()))
