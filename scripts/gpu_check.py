"""Check and measure the project on a GPU, the most valuable parts first, each within a time limit of its own.

    python scripts/gpu_check.py --minutes 8 --data FOLDER

Each part runs in a process of its own, so that a part that fails or hangs leaves the others alone. After each part, all
results so far are written to one JSON file. The parts are:

- functions: values and gradients of the functions that the losses are made of, against those of the CPU.
- fits: short fits of every method in float64, against those of the CPU: labels, P, centroids, and the loss.
- resume: a fit with ``deterministic=True``, twice, and once more with an interruption: equal to the last bit.
- waits: how often a training step makes the host wait for the device, outside of logging.
- speed: steps a second against a bare PyTorch loop with data on the device.
- mnist: ``dec_mnist`` from the start of the process to the accuracy of the DEC paper, 84.3 %.
- kmeans: seconds and inertia beside those of fastkmeans and flash-kmeans, if they are installed.
- files: checkpoints that a CPU has written, on the device, and the other way round.
- precision: the other precisions of a GPU, and a compiled step.
- profile: the operations that take most of the time of a training step.

With ``--accelerator cpu`` the script rehearses itself: everything runs, but what is CUDA's own is left out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import add_data_option, describe_machine, new_parser, note, parse
from gpu_checks import Result, check_files, check_fits, check_functions, check_precision, check_resume, check_waits
from gpu_measures import measure_kmeans, measure_mnist, measure_profile, measure_speed
from tabulate import tabulate

from lightning_dc.files import whole_file


class Part(NamedTuple):
    """A part of the check: its time limit in seconds, and a function that returns its figures."""

    seconds: float
    run: Callable[[Namespace, torch.device, Path], Result]


PARTS = {
    "functions": Part(60, check_functions),
    "fits": Part(90, check_fits),
    "resume": Part(60, check_resume),
    "waits": Part(60, check_waits),
    "mnist": Part(150, measure_mnist),
    "speed": Part(60, measure_speed),
    "precision": Part(60, check_precision),
    "files": Part(40, check_files),
    "kmeans": Part(120, measure_kmeans),
    "profile": Part(60, measure_profile),
}


def main() -> None:
    """Run all parts, or the one that a process is started for."""
    parser = new_parser(__doc__)
    add_data_option(parser)
    parser.add_argument("--minutes", type=float, default=8.0, help="time for all parts together")
    parser.add_argument("--accelerator", choices=["cuda", "cpu"], default="cuda", help="cpu rehearses the script")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run, in this order")
    parser.add_argument("--small", action="store_true", help="small problems, to try the script")
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"), help="file of all results")
    parser.add_argument("--part", choices=PARTS, help="run one part in this process, and print its results as JSON")
    args = parse(parser)
    if args.accelerator == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device; --accelerator cpu rehearses the script without one")
    if args.part is not None:
        with tempfile.TemporaryDirectory() as scratch:
            result = PARTS[args.part].run(args, torch.device(args.accelerator), Path(scratch))
        print("\n" + json.dumps(result))
        return
    run_parts(parser, args)


def run_parts(parser: ArgumentParser, args: Namespace) -> None:
    """Run parts in processes of their own until the time is over, and print a table of the outcomes."""
    device = torch.cuda.get_device_name() if args.accelerator == "cuda" else "CPU"
    results: dict[str, Any] = {"device": device, "machine": describe_machine(), "parts": {}}
    print(f"{device}; {results['machine']}", flush=True)
    end = time.monotonic() + 60 * args.minutes
    for name in args.parts:
        limit = min(PARTS[name].seconds, end - time.monotonic())
        if limit < 5:
            results["parts"][name] = {"verdict": "no time left"}
        else:
            note(f"{name}, at most {limit:.0f} s")
            results["parts"][name] = run_part(name, limit)
        with whole_file(args.output) as file:
            file.write(json.dumps(results, indent=1).encode())
    rows = [
        (name, part["verdict"], f"{part.get('seconds', 0):.1f}", part.get("summary", ""))
        for name, part in results["parts"].items()
    ]
    print(tabulate(rows, ["part", "verdict", "seconds", "summary"], disable_numparse=True))
    print(f"All figures are in {args.output}")
    if any(part["verdict"] != "good" for part in results["parts"].values()):
        raise SystemExit(1)


def run_part(name: str, limit: float) -> dict[str, Any]:
    """Run one part in a process of its own, and return its results."""
    begin = time.monotonic()
    command = [sys.executable, sys.argv[0], "--part", name, *sys.argv[1:]]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the processes that the part has started, too
            said, _ = process.communicate()
            return {"verdict": "too long", "seconds": limit, "output": said[-8000:], "summary": said.strip()[-100:]}
    seconds = time.monotonic() - begin
    if process.returncode != 0:
        last = said.strip().rpartition("\n")[2]
        return {"verdict": "failed", "seconds": seconds, "output": said[-6000:], "summary": last[:100]}
    result: dict[str, Any] = json.loads(said.strip().rpartition("\n")[2])
    return {"verdict": "bad" if result["faults"] else "good", "seconds": seconds, **result}


if __name__ == "__main__":
    main()
