"""How the threads of OpenMP wait for work, which has to be chosen before torch is imported."""

from __future__ import annotations

import os
from pathlib import Path

_CHOSEN_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
_SPINS = "30000"  # of a thread before it sleeps: some 0.1 ms, in which most next tasks arrive
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_NOW = Path("/proc/loadavg")


def choose_waiting() -> str | None:
    """Let threads sleep while they wait, at once on a busy machine and soon on an idle one.

    By default, the threads of PyTorch's OpenMP spin while they wait. On a busy machine that takes the processors from
    the very threads for which they wait. The choice is kept in environment variables; if the user has set one of them,
    nothing changes.

    Returns:
        A line for the user if the machine is busy; None otherwise.
    """
    if any(name in os.environ for name in _CHOSEN_BY_USER):
        return None
    n_cpus = available_cpus()
    if n_cpus == 1:  # there are no threads to wait for
        return None
    free = min(n_cpus - other_load(), cpu_quota() or n_cpus)
    if free > 0.75 * n_cpus:
        os.environ["GOMP_SPINCOUNT"] = _SPINS
        return None
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return (
        f"of {n_cpus} processors, about {max(free, 0.0):.1f} are free; threads sleep while they wait "
        f"(OMP_WAIT_POLICY=PASSIVE), and OMP_NUM_THREADS={max(1, int(free))} may be faster"
    )


def available_cpus() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def other_load() -> float:
    """Return how many of these processors other processes keep busy; 0 where the system does not tell.

    It is the average of the last minute or what runs now, whichever is less, since a run may just have ended. If this
    process may use a part of the machine only, this part of the load counts.
    """
    try:
        load = os.getloadavg()[0]
        load = min(load, int(_NOW.read_text().split()[3].partition("/")[0]) - 1.0)  # without this process
    except (AttributeError, OSError, ValueError, IndexError):
        return 0.0
    return max(load, 0.0) * available_cpus() / (os.cpu_count() or 1)


def cpu_quota() -> float | None:
    """Return how many processors a container may keep busy; None without a limit."""
    try:
        quota, period = _QUOTA.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no file, or "max"
        return None
