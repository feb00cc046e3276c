"""Assignment of the rows of the training set to processes, and collectives that do nothing on a single process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

CHUNK_SIZE = 4096
"""Number of consecutive rows of the training set that belong to one process.

It is a constant, since results must not depend on the batch size or the number of processes."""


_is_alone = False


def act_alone(is_alone: bool) -> None:
    """Act as the only process although there is a process group, or no longer do so.

    Trainers for one process may follow one for several in the same process group.

    Args:
        is_alone: True if the present trainer has one process.
    """
    global _is_alone
    _is_alone = is_alone


def world() -> tuple[int, int]:
    """Return the rank of this process and the number of processes; ``(0, 1)`` without a process group."""
    if not _is_alone and dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def owned_chunks(n_total: int) -> list[slice]:
    """Return the rows of each chunk of this process; chunk c of ``CHUNK_SIZE`` rows belongs to rank c mod W of W."""
    rank, world_size = world()
    starts = range(rank * CHUNK_SIZE, n_total, world_size * CHUNK_SIZE)
    return [slice(start, min(start + CHUNK_SIZE, n_total)) for start in starts]


def owned_rows(n_total: int) -> Tensor:
    """Return the numbers of the rows of this process in ascending order, (n,), int64."""
    chunks = [torch.arange(rows.start, rows.stop) for rows in owned_chunks(n_total)]
    return torch.cat([torch.empty(0, dtype=torch.int64), *chunks])


def sum_(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place.

    If each element is computed by one process and is zero on all others, the sum is exact for any number of processes.
    """
    if world()[1] > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.SUM)
    return tensor


def max_(tensor: Tensor) -> Tensor:
    """Replace each element of a tensor by its largest value over all processes, in place."""
    if world()[1] > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor


def broadcast_(tensor: Tensor) -> Tensor:
    """Overwrite a tensor in place with its value on rank 0."""
    if world()[1] > 1:
        dist.broadcast(tensor, src=0)
    return tensor


@contextmanager
def failing_together(device: torch.device) -> Iterator[None]:
    """Let a ``with`` block fail on all processes if it fails on one.

    Otherwise the other processes would wait for the failed one at the next collective. Processes must not wait for one
    another inside the block; mostly, only the first process works in it.

    Args:
        device: device on which processes exchange tensors.

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
    finally:  # the sum may fail, too, if another process has ended
        if error is not None:
            raise error
    if int(n_failed) > 0:
        raise RuntimeError("another process has failed; see its message")


def own_of_batch(rows: Tensor) -> Tensor:
    """Select the rows of this process from a global batch: rank r of W has the rows r, r + W, ..."""
    rank, world_size = world()
    return rows[rank::world_size]


def gather_batch(rows: Tensor) -> Tensor:
    """Assemble the global batch, (B, ...), in order, from the rows of all processes; gradients flow back to the rows.

    Args:
        rows: rows of this process, as selected by :func:`own_of_batch`.
    """
    return rows if world()[1] == 1 else _GatherBatch.apply(rows)  # type: ignore[no-untyped-call]


class _GatherBatch(torch.autograd.Function):
    """Autograd function of :func:`gather_batch`; gradients are summed over processes, as each may use every row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        n_rows = int(sum_(torch.tensor(len(rows), device=rows.device)))
        batch = rows.new_zeros(n_rows, *rows.shape[1:])
        own_of_batch(batch).copy_(rows)
        return sum_(batch)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return own_of_batch(sum_(gradients[0].clone()))
