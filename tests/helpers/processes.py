"""Commands in processes of their own, and functions on two gloo processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch
import torch.distributed as dist

Function = Callable[[int], Any]

_LAST_WORDS_S = 3.0  # of the other processes, when the first one has failed


@contextlib.contextmanager
def started(
    command: Sequence[str], folder: Path | None, output: IO[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a command; at the end of the context, kill it with all processes that it started."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=output, stderr=output, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_command(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 240.0,
    succeeds: bool = True,
) -> str:
    """Return the output of a command, which must succeed, or fail on one of its processes first."""
    with tempfile.TemporaryFile("w+") as output:

        def printed() -> str:
            output.seek(0)
            return output.read()

        with started(command, folder, output, environment) as process:
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"no end within {timeout_s} s: {printed()[-3000:]}") from None
            if not succeeds:
                time.sleep(_LAST_WORDS_S)
        assert (code == 0) == succeeds, printed()[-3000:]
        return printed()


def run_on_two_processes(function: Function, folder: Path, timeout_s: float = 240.0) -> list[Any]:
    """Return the results of a module's function on two processes; its arguments are the ranks 0 and 1."""
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
