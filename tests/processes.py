"""Functions on two gloo processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

Function = Callable[[int], Any]


def run_on_two_processes(function: Function, folder: Path, timeout_s: float = 60.0) -> list[Any]:
    """What a module's function returns on rank 0 and on rank 1, which it is called with."""
    processes = torch.multiprocessing.spawn(_run, (function, str(folder)), nprocs=2, join=False)
    deadline = time.monotonic() + timeout_s
    try:
        while not processes.join(timeout=1.0):
            assert time.monotonic() < deadline, f"two processes did not end within {timeout_s} s"
    finally:
        for process in processes.processes:
            process.kill()
            process.join()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def _run(rank: int, function: Function, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    result = function(rank)
    dist.barrier()
    torch.save(result, f"{folder}/{rank}.pt")
    dist.destroy_process_group()
