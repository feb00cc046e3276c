r"""Run a configuration with several seeds, and print a table of the results.

    python scripts/results_table.py dec_digits --seeds 0 1 2 3 4 --output dec_digits.csv
    python scripts/results_table.py dec_digits --seeds 0 1 -- --model.pretraining.max_epochs=5

Each seed runs in a process of its own, `lightning-dc fit --config NAME --seed_everything SEED`, one after the other.
ACC, NMI and ARI are the values that the run has logged at its end (`final/acc`, ...); seconds are those of the whole
process, including imports and the reading of data. Every run gets the arguments after `--`, with its seed in place of
`{seed}`. In this way, methods can share autoencoders:

    python scripts/results_table.py ae_kmeans_digits --runs runs
    python scripts/results_table.py idec_digits --runs runs -- --model.pretraining.max_epochs=0 \
        --init_from=runs/ae_kmeans_digits/seed-{seed}/checkpoints/last.ckpt

With --scores, the table shows other scalars that the run has logged at its end, such as the p-value of the log-rank
test on the held-out patients, whose split depends on the seed; --below adds the share of runs below a level:

    python scripts/results_table.py dec_synthetic --scores val_survival_log_rank val_survival_p --below 0.05 \
        -- --data.target=survival --data.val_fraction=0.3

If the DataModule of a configuration has an argument `folder`, the data come from --data: `data/mnist` becomes
FOLDER/mnist.
"""

from __future__ import annotations

import argparse
import csv
import inspect
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import add_data_option, console_script, data_folder, describe_machine, new_parser, note, parse
from tabulate import tabulate
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

import datamodules
from lightning_dc.configs import find_config
from lightning_dc.errors import InputError
from lightning_dc.functional import agreement_scores

SCORES = tuple(agreement_scores(np.eye(2, dtype=np.int64)))


def main() -> None:
    """Run the configuration, and print the table."""
    parser = new_parser(__doc__)
    add_data_option(parser)
    parser.add_argument("config", help="name of a shipped configuration, or a file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="seeds of the runs")
    parser.add_argument("--scores", nargs="+", default=SCORES, help="names of the scalars to show, without final/")
    parser.add_argument("--below", type=float, help="also show the share of runs whose score is below this")
    parser.add_argument("--output", type=Path, help="CSV file to write the table to")
    parser.add_argument("--runs", type=Path, help="folder in which runs are kept; None deletes them")
    args = parse(parser)
    script = console_script(parser)
    if args.output is not None and not args.output.resolve().parent.is_dir():
        parser.error(f"--output: {args.output.resolve().parent} is no folder")
    try:
        config = find_config(args.config)
    except InputError as error:
        parser.error(str(error))
    command = [script, "fit", "--config", str(config.resolve()), *_data_flags(parser, args, config), *args.overrides]
    print(describe_machine())
    with tempfile.TemporaryDirectory() as scratch:
        runs = (Path(scratch) if args.runs is None else args.runs).resolve()
        rows = [_run(parser, command, seed, runs, args.scores) for seed in args.seeds]
    columns = [*args.scores, "seconds"]
    values = {name: [row[name] for row in rows] for name in columns}
    for share, name in ((0.25, "25 %"), (0.5, "median"), (0.75, "75 %")):
        rows.append({"seed": name} | {key: float(np.quantile(column, share)) for key, column in values.items()})
    if args.below is not None:
        shares = {name: float(np.mean(np.array(values[name]) < args.below)) for name in args.scores}
        rows.append({"seed": f"below {args.below:g}"} | shares)
    formats = dict.fromkeys(args.scores, ".3g") | dict.fromkeys(SCORES, ".4f") | {"seconds": ".1f"}
    print(f"\n{' '.join([args.config, *args.overrides])}")
    print(
        tabulate(
            [
                [row["seed"], *(format(row[name], formats[name]) if name in row else "" for name in columns)]
                for row in rows
            ],
            ["seed", *columns],
            disable_numparse=True,
        )
    )
    if args.output is not None:
        with args.output.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["seed", *columns])
            writer.writeheader()
            writer.writerows(rows)
        print(f"\nwritten to {args.output}")


def _run(
    parser: argparse.ArgumentParser, command: list[str], seed: int, runs: Path, names: Sequence[str]
) -> dict[str, Any]:
    """Run one seed, and return the seed, scores and seconds."""
    version = f"seed-{seed}"
    logger = {"save_dir": runs, "version": version}
    options = [f"--trainer.logger.init_args.{name}={value}" for name, value in logger.items()]
    note(f"seed {seed}")
    start = time.perf_counter()
    done = subprocess.run(
        [*(part.replace("{seed}", str(seed)) for part in command), *options, f"--seed_everything={seed}"],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        parser.exit(1, f"seed {seed} failed with status {done.returncode}:\n{done.stderr[-4000:]}\n")
    folders = [path.parent for path in runs.rglob(f"{version}/events.out.tfevents.*")]
    if not folders:
        parser.exit(
            1, f"seed {seed} has left no events of TensorBoard in {runs}; the configuration needs that logger\n"
        )
    events = EventAccumulator(str(folders[0]))
    events.Reload()
    logged = events.Tags()["scalars"]
    scores = {name: _last(events, f"final/{name}") if f"final/{name}" in logged else float("nan") for name in names}
    note("  " + ", ".join(f"{name} {score:.4f}" for name, score in scores.items()) + f", {seconds:.1f} s")
    return {"seed": seed, **scores, "seconds": seconds}


def _last(events: EventAccumulator, tag: str) -> float:
    return float(events.Scalars(tag)[-1].value)


def _data_flags(parser: argparse.ArgumentParser, args: argparse.Namespace, config: Path) -> list[str]:
    """Return the argument that names the folder of the data, if the DataModule has one."""
    data = yaml.safe_load(config.read_text()).get("data") or {}
    name = str(data.get("class_path", "")).rpartition(".")[2]
    kind = getattr(datamodules, name, None)
    folder = None if kind is None else inspect.signature(kind).parameters.get("folder")
    if folder is None:
        return []
    named = (data.get("init_args") or {}).get("folder", folder.default)
    return [f"--data.init_args.folder={data_folder(parser, args.data).resolve() / Path(named).name}"]


if __name__ == "__main__":
    main()
