"""Measure how long a short fit takes by how the threads of OpenMP wait, on an idle machine and on a busy one.

    python scripts/benchmark_threads.py --rounds 2

The command line sets GOMP_SPINCOUNT=30000 on an idle machine and OMP_WAIT_POLICY=PASSIVE on a busy one. The first row
is what PyTorch does by itself, with threads that spin while they wait. The machine is made busy by one endless loop for
each processor.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from common import describe_machine, new_parser, note
from tabulate import tabulate

_WAYS = {
    "PyTorch's own": {},
    "GOMP_SPINCOUNT=30000": {"GOMP_SPINCOUNT": "30000"},
    "GOMP_SPINCOUNT=3000": {"GOMP_SPINCOUNT": "3000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
_FIT = [  # lightning_dc.cli leaves the threads as they are, other than the command
    *(sys.executable, "-c", "from lightning_dc.cli import main; main()"),
    *("fit", "--config", "dec_digits", "--model.pretraining.max_epochs=15", "--model.clustering.max_epochs=10"),
    *("--trainer.enable_progress_bar=false", "--trainer.logger=false"),
]


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each way, in turns")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    print(describe_machine())
    n_processors = os.cpu_count() or 1
    seconds: dict[tuple[str, bool], list[float]] = {(way, busy): [] for busy in (False, True) for way in _WAYS}
    for round_number in range(1, args.rounds + 1):
        for busy in (False, True):
            with _loops(n_processors if busy else 0):
                for way, variables in _WAYS.items():
                    note(f"round {round_number} of {args.rounds}, {'busy' if busy else 'idle'}: {way}")
                    seconds[way, busy].append(_time(variables))
    rows = [[way, *(_as_text(seconds[way, busy]) for busy in (False, True))] for way in _WAYS]
    print(f"\nSeconds of a fit of {15 + 10} epochs of digits")
    print(tabulate(rows, ["threads", "idle", f"beside {n_processors} loops"], disable_numparse=True))


def _time(variables: dict[str, str]) -> float:
    chosen = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in chosen} | variables
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(_FIT, cwd=folder, env=environment, check=True, capture_output=True)
        return time.perf_counter() - start


@contextlib.contextmanager
def _loops(number: int) -> Iterator[None]:
    """Keep processors busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _as_text(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


if __name__ == "__main__":
    main()
