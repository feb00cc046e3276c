"""Collectives that do nothing on one process."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """Rank of this process and number of processes; ``(0, 1)`` without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


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
