"""Measure the time of starting the command line and of a short fit compared to an import of Lightning.

    python scripts/benchmark_startup.py --repeats 7

The commands run in turns in an empty folder, after one warm-up of each. Two of them contain an error of the user, which
should be reported at once.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

from common import console_script, describe_machine, new_parser, note
from tabulate import tabulate


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each command after the warm-up")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")
    script = console_script(parser)
    slip = 2  # exit status of a usage error
    commands = {
        'python -c "import lightning.pytorch"': ([sys.executable, "-c", "import lightning.pytorch"], 0),
        "lightning-dc --help": ([script, "--help"], 0),
        "lightning-dc fit --config deeptype_synthetic": (
            [script, "fit", "--config", "deeptype_synthetic", "--trainer.enable_progress_bar", "false"],
            0,
        ),
        "lightning-dc fit --config dec_digits --model.n_clusterz 3": (
            [script, "fit", "--config", "dec_digits", "--model.n_clusterz", "3"],
            slip,
        ),
        "lightning-dc fit --config nonexistent": ([script, "fit", "--config", "nonexistent"], slip),
    }
    print(describe_machine())
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(args.repeats + 1):
            note("warm-up" if repeat == 0 else f"repeat {repeat} of {args.repeats}")
            for name, (command, expected) in commands.items():
                start = time.perf_counter()
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
                elapsed = time.perf_counter() - start
                if done.returncode != expected:
                    parser.exit(1, f"{name}: status {done.returncode}, not {expected}\n{done.stderr[-2000:]}\n")
                if repeat:
                    seconds[name].append(elapsed)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    first = next(iter(medians.values()))
    rows = [
        [name, f"{median:.2f}", f"{min(seconds[name]):.2f}", f"{max(seconds[name]):.2f}", f"{median / first:.2f}"]
        for name, median in medians.items()
    ]
    print(f"\nSeconds, of {args.repeats} runs")
    print(tabulate(rows, ["command", "median", "least", "most", "ratio"], disable_numparse=True))


if __name__ == "__main__":
    main()
