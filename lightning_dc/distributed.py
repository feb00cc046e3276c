"""Assignment of the rows of the training set to processes, and collectives that do nothing on a single process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

CHUNK_SIZE = 4096
"""Number of consecutive rows of the training set that belong to one process.

It is a constant, since results must not depend on the batch size or the number of processes."""

_LONGEST_WAIT = timedelta(days=30)
"""How long processes wait for one that works alone; by default, NCCL ends a run after half an hour at most."""

_T = TypeVar("_T")
_is_alone = False
_on_host: tuple[Any, Any] | None = None  # the group of all processes, and one of the same that works in main memory


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


def set_shared_(tensor: Tensor, value: Tensor) -> Tensor:
    """Overwrite a tensor in place with a value that every process has computed, as rank 0 has it.

    Processors of different kinds may round differently.
    """
    return broadcast_(tensor.copy_(value))


@contextmanager
def failing_together() -> Iterator[None]:
    """Let a ``with`` block fail on all processes if it fails on one.

    Otherwise the other processes would wait for the failed one at the next collective. Processes must not wait for one
    another inside the block; mostly, only the first process works in it, for as long as it needs.

    Raises:
        RuntimeError: another process has failed.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    try:
        n_failed = _sum_on_host(int(error is not None))
    finally:  # the sum may fail, too, if another process has ended
        if error is not None:
            raise error
    if n_failed > 0:
        raise RuntimeError("another process has failed; see its message")


def collect_on_first(value: _T) -> list[_T]:
    """Return the values of all processes, in the order of their ranks, on the first process; an empty list elsewhere.

    Args:
        value: any object that can be pickled, with its tensors in main memory.
    """
    rank, world_size = world()
    if world_size == 1:
        return [value]
    values: list[Any] | None = [None] * world_size if rank == 0 else None
    dist.gather_object(value, values, dst=0, group=_host_group())
    return values or []


def _sum_on_host(number: int) -> int:
    """Return the sum of a number over all processes, without waiting for what their devices do."""
    total = torch.tensor(number)
    if world()[1] > 1:
        dist.all_reduce(total, group=_host_group())
    return int(total)


def open_host_group() -> None:
    """Create the group in which processes wait for one another in main memory; all call this at the same point.

    Without this call, the first wait creates it; a process that has died before would then be waited for in vain.
    """
    if world()[1] > 1:
        _host_group()


def _host_group() -> Any:
    """Return the group of all processes that exchanges what is in main memory."""
    global _on_host
    everyone = dist.group.WORLD
    if _on_host is None or _on_host[0] is not everyone:
        _on_host = everyone, dist.new_group(backend="gloo", timeout=_LONGEST_WAIT)
    return _on_host[1]


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
        batch = rows.new_zeros(_sum_on_host(len(rows)), *rows.shape[1:])
        own_of_batch(batch).copy_(rows)
        return sum_(batch)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return own_of_batch(sum_(gradients[0].clone()))
