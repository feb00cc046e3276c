"""Choice of the number of clusters and of loss weights by many runs over resamples."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import itertools
import logging
import math
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import yaml

from lightning_dc.cli.choice import (
    LEAST_SEPARATION,
    LEAST_STABILITY,
    Scores,
    Setting,
    choose,
    selection_shares,
    summarize,
)
from lightning_dc.errors import InputError
from lightning_dc.files import whole_csv
from lightning_dc.reports.run_folder import Run, read_run

_COLUMNS = {  # headers and formats of the printed table
    "silhouette_before": ("silhouette before", ".4f"),
    "stability": ("stability", ".4f"),
    "recovery": ("recovery", ".4f"),
    "separation": ("separation", ".4f"),
    "clustered": ("clustered", ".1f"),
    "silhouette_after": ("silhouette after", ".4f"),
    "loss": ("held-out loss", ".3g"),  # which may be tiny
    "loss_error": ("its error", ".2g"),
    "n_selected": ("inputs", ".1f"),
}
_NO_CLUSTERS = (
    "Chosen: none. The data have no clusters, as far as these numbers of clusters tell: for each of them, clusters are "
    f"not separated (separation below {LEAST_SEPARATION}), not stable (stability below {LEAST_STABILITY}), or explain "
    "no more of the inputs than of inputs that are shuffled (clustered below 0.5)."
)
_HELP = """Fit a model many times and choose its settings.

  lightning-dc select --config dec_digits --k 8 9 10 11 12 --resamples 5
  lightning-dc select --config deeptype_synthetic --k 2 3 4 5 6 --alpha 0.5 1 2 --beta 0.1 0.2 -- --data.n_subtypes=2

Each setting of the grid is fitted on several resamples by repeated random hold-out: each seed holds out another random
share of the training rows. Unlike the folds of a K-fold cross-validation, these shares overlap. The clusters of a K
have these scores, means over resamples:

  separation  the depth of the valley in the density between the two clusters that are separated least: 1 if there is a
              gap without samples, 0 if they are parts of one cluster (Hennig 2010,
              https://doi.org/10.1007/s11634-010-0058-3)
  stability   the adjusted Rand index of the clusters of two resamples on the samples that both have
  recovery    the same of the least stable cluster: the Jaccard index that it has with its counterpart (Hennig 2007,
              https://doi.org/10.1016/j.csda.2006.11.025)
  clustered   the share of resamples in which k-means explains more of the inputs than of copies whose columns are
              shuffled; supervised methods have no such score

The chosen K is the largest one whose clusters are separated (0.3 or more), stable (0.75) and all recovered (0.75), if
most resamples have clusters at all. If
none is recovered in all its clusters, it is the one with the best mean of silhouette and stability among those that are
separated and stable. If there are none of these either, the answer is that there are no clusters. With a single K there
is nothing to judge.

Separation and "silhouette before" are those of the final clusters in the embedding from which clustering began: the
autoencoder's, or of DeepType the one that the task has shaped; without an encoder it is that of the scaled inputs. This
embedding is the same for all K. Clustering then contracts the embedding around its K clusters, so the silhouette after
clustering is high for any K. It is shown, but nothing is chosen by it, since silhouettes of different embeddings cannot
be compared.

A setting is usable if no resample has ended in a single cluster. Scores of a K are means over all usable settings with
that K, whatever their alpha and beta. alpha and beta, the
weights of sparsity and distance of DeepType, are chosen by the one-standard-error rule: among the usable settings with
the chosen K whose held-out loss of the task is within one standard error of the best one, the sparsest is chosen (the
largest alpha, then the largest beta). Since the resamples overlap, this error is smaller than that of independent data.
If the configuration has a schedule with an `end` for one of these weights, the value becomes its end, so that a ramp
stays a ramp; otherwise it is the weight. scores.csv is written again after each setting. Columns without a value, such
as the loss of a method without a task, are left out.

If a model can drop inputs, the selection share of each input is written, too: the share of the runs of the chosen
setting that kept it. It is the selection probability of stability selection (Meinshausen and Buehlmann 2010,
https://doi.org/10.1111/j.1467-9868.2010.00740.x) only with --hold-out 0.5 and many resamples, 50 or more.

All arguments after -- are passed to every run of lightning-dc fit.
"""


def select(args: Sequence[str], fit: Callable[[list[str]], None]) -> None:
    """Run ``lightning-dc select``.

    Args:
        args: arguments after ``select``.
        fit: function that runs ``lightning-dc`` with arguments.

    Raises:
        InputError: an argument is out of range, the folder holds another selection, several processes are asked for, or
            no setting can be chosen.
    """
    split = list(args).index("--") if "--" in args else len(args)
    options = _parser().parse_args(args[:split])
    _check(options)
    folder = Path(options.output)
    if any((folder / name).exists() for name in ("scores.csv", "runs")):
        raise InputError(
            f"output={str(folder)!r} holds another selection, perhaps an unfinished one; choose another folder with "
            "--output, or remove this one"
        )
    base = ["--config", options.config, *args[split + 1 :]]
    configuration = _configuration(base, fit)
    _check_one_process(configuration.get("trainer", {}))
    grid = [
        Setting(*values)
        for values in itertools.product(
            *(dict.fromkeys(v or [None]) for v in (options.k, options.alpha, options.beta)),
        )
    ]
    runs: dict[Setting, list[Run]] = {}
    scores: list[Scores] = []
    started = time.monotonic()
    for i, setting in enumerate(grid):
        runs[setting] = []
        for seed in range(options.resamples):
            print(
                f"Setting {i + 1} of {len(grid)}, resample {seed + 1} of {options.resamples}: {_name(setting)}"
                + _time_left(time.monotonic() - started, i * options.resamples + seed, len(grid) * options.resamples),
                flush=True,
            )
            name = {"save_dir": str(folder / "runs"), "name": f"setting-{i}", "version": seed}
            with _silenced():
                fit(
                    [
                        *("fit", *base, *setting.flags(configuration)),
                        *(f"--seed_everything={seed}", f"--data.val_fraction={options.hold_out}"),
                        "--trainer.logger=TensorBoardLogger",  # whose scalars read_run reads
                        *(f"--trainer.logger.init_args.{key}={value}" for key, value in name.items()),
                        *("--summary.file_name=clusters.parquet", "--features.file_name=features.csv"),  # likewise
                        *("--baseline.enabled=false", "--calibration.enabled=false"),
                        "--trainer.callbacks+=lightning_dc.reports.Silhouettes",
                        *("--trainer.enable_progress_bar=false", "--trainer.enable_checkpointing=false"),
                    ]
                )
            runs[setting].append(read_run(folder / "runs" / f"setting-{i}" / f"version_{seed}"))
        scores.append(summarize(setting, runs[setting]))
        _write_scores(folder, scores, None)
    chosen = choose(scores)
    _write_scores(folder, scores, chosen)
    _draw(folder / "scores.png", scores, chosen)
    _print(scores, chosen)
    if chosen is None:
        print(f"{_NO_CLUSTERS} Scores, figure and runs are in {folder}.")
        return
    _write_shares(folder, runs[chosen.setting])
    _print_doubt(chosen, grid)
    _print_edges(chosen.setting, grid)
    print(f"Chosen: {_name(chosen.setting)}. Scores, figure and runs are in {folder}. To fit it:")
    print(f"  lightning-dc fit {shlex.join([*base, *chosen.setting.flags(configuration)])}")


class _Parser(argparse.ArgumentParser):
    """Parser whose errors are printed in one line, as those of the other subcommands are."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see lightning-dc select --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "lightning-dc select",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", required=True, help="configuration of lightning-dc fit: a file, or the name of a shipped one"
    )
    parser.add_argument("--k", type=int, nargs="+", help="numbers of clusters to compare")
    parser.add_argument(
        "--alpha", type=float, nargs="+", help="weights of sparsity, or ends of its ramp, in both phases of DeepType"
    )
    parser.add_argument("--beta", type=float, nargs="+", help="weights of distance in the joint phase of DeepType")
    parser.add_argument("--resamples", type=int, default=5, help="number of fits of each setting (default: 5)")
    parser.add_argument(
        "--hold-out", type=float, default=0.2, help="share of the rows that a resample leaves out (default: 0.2)"
    )
    parser.add_argument(
        "--output", default="runs/select", help="folder for the scores and the runs (default: runs/select)"
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.resamples < 2 or not 0.0 < options.hold_out < 1.0:
        raise InputError(
            f"resamples={options.resamples} must be at least 2, and hold_out={options.hold_out} lie in (0, 1)"
        )
    if any(k < 2 for k in options.k or ()):
        raise InputError(f"k={options.k} are numbers of clusters and must each be at least 2")
    for name in ("alpha", "beta"):
        values = getattr(options, name) or ()
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise InputError(f"{name}={values} are weights and must be finite and not negative")
    if not (options.k or options.alpha or options.beta):
        raise InputError(
            "there is nothing to choose; give numbers of clusters, such as --k 4 6 8, or --alpha or --beta"
        )


def _check_one_process(trainer: dict[str, Any]) -> None:
    devices, nodes = trainer.get("devices", 1), trainer.get("num_nodes", 1)
    is_one = len(devices) == 1 if isinstance(devices, list) else str(devices) == "1"
    if not is_one or nodes != 1:
        raise InputError(
            f"select runs its fits in one process, but trainer.devices={devices!r} and trainer.num_nodes={nodes!r} ask "
            "for several; leave them out"
        )


def _time_left(seconds: float, n_done: int, n_runs: int) -> str:
    """Return the time that the other runs will take at the mean pace of those before, as words for a line.

    Example:
        >>> _time_left(90.0, 1, 3), _time_left(0.0, 0, 3)
        (', about 3 min left', '')
    """
    if n_done == 0:
        return ""
    left = seconds / n_done * (n_runs - n_done)
    return f", about {left:.0f} s left" if left < 90 else f", about {left / 60:.0f} min left"


def _print_doubt(chosen: Scores, grid: Sequence[Setting]) -> None:
    """Say where K is the best one, but not because all its clusters come back on resamples."""
    if len({setting.k for setting in grid}) > 1 and chosen.recovery < LEAST_STABILITY:
        print(
            f"k={chosen.setting.k} is uncertain: no number of clusters gives separated clusters that all come back on "
            f"other resamples (recovery of {LEAST_STABILITY}), so silhouette and stability have decided."
        )


def _print_edges(chosen: Setting, grid: Sequence[Setting]) -> None:
    """Say where the best value is the least or the largest one of several, since a better one may lie beyond."""
    for name, value in chosen._asdict().items():
        values = {getattr(setting, name) for setting in grid}
        least = 2 if name == "k" else 0.0  # below it there is none
        if len(values) > 1 and value in (min(values), max(values)) and value != least:
            print(f"{name}={value} is at the edge of the values that were compared; a better one may lie beyond it.")


def _configuration(base: Sequence[str], fit: Callable[[list[str]], None]) -> dict[str, Any]:
    """Return the configuration of all runs, with the defaults of the command line; an error in it is reported."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            fit(["fit", *base, "--print_config"])
    except SystemExit as end:
        if end.code:
            raise
    configuration: dict[str, Any] = yaml.safe_load(printed.getvalue())
    return configuration


def _name(setting: Setting) -> str:
    """Return the name of a setting in tables and figures."""
    named = {key: value for key, value in setting._asdict().items() if value is not None}
    return ", ".join(f"{key} {value}" for key, value in named.items())


@contextlib.contextmanager
def _silenced() -> Any:
    """Hide messages and standard output within the context."""
    with contextlib.redirect_stdout(io.StringIO()):
        logging.disable(logging.INFO)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _filled(scores: Sequence[Scores]) -> list[dict[str, Any]]:
    """Return a row of each setting, by column, without the columns that have no value in any row."""
    rows = [score.setting._asdict() | score._asdict() for score in scores]
    names = [name for name in rows[0] if name != "setting" and any(_has_value(row[name]) for row in rows)]
    return [{name: row[name] for name in names} for row in rows]


def _has_value(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _write_scores(folder: Path, scores: Sequence[Scores], chosen: Scores | None) -> None:
    """Write the table of scores completely or not at all, so that an interrupted selection keeps earlier settings."""
    rows = _filled(scores)
    with whole_csv(folder / "scores.csv") as file:
        writer = csv.DictWriter(file, [*rows[0], "chosen"])
        writer.writeheader()
        writer.writerows(row | {"chosen": int(score is chosen)} for row, score in zip(rows, scores, strict=True))


def _write_shares(folder: Path, runs: Sequence[Run]) -> None:
    shares = selection_shares(runs)
    if shares:
        with whole_csv(folder / "features.csv") as file:
            table = csv.writer(file)
            table.writerow(["feature", "share"])
            table.writerows(shares.items())


def _draw(path: Path, scores: Sequence[Scores], chosen: Scores | None) -> None:
    from matplotlib.figure import Figure

    names = [_name(score.setting) for score in scores]
    losses, errors = ([getattr(score, key) for score in scores] for key in ("loss", "loss_error"))
    has_loss = bool(np.isfinite(losses).any())
    figure = Figure(figsize=(4.0 + 0.4 * len(scores), 6.0 if has_loss else 4.5), layout="constrained")
    # Losses have another scale than the scores, so they have a panel of their own.
    panels = figure.subplots(2 if has_loss else 1, 1, sharex=True, squeeze=False)[:, 0]
    for key, style in (
        *((key, "-") for key in ("silhouette_before", "stability", "recovery", "separation")),
        ("silhouette_after", ":"),
    ):
        values = [getattr(score, key) for score in scores]
        panels[0].plot(names, values, style, marker="o", label=_COLUMNS[key][0])
    if has_loss:
        panels[1].errorbar(names, losses, errors, marker="s", capsize=3, label="held-out loss of the task")
    for axes in panels:
        if chosen is not None:
            axes.axvline(list(scores).index(chosen), color="grey", linestyle=":", label="chosen")
        axes.legend()
    for label in panels[-1].get_xticklabels():
        label.set(rotation=45, ha="right", rotation_mode="anchor")
    figure.savefig(path)


def _print(scores: Sequence[Scores], chosen: Scores | None) -> None:
    from tabulate import tabulate

    filled = _filled(scores)
    columns = {name: column for name, column in _COLUMNS.items() if name in filled[0]}
    rows = [
        [_name(score.setting), *(row[name] for name in columns), "chosen" if score is chosen else ""]
        for score, row in zip(scores, filled, strict=True)
    ]
    headers = ["setting", *(header for header, _ in columns.values()), ""]
    formats = ["", *(number for _, number in columns.values()), ""]
    print("\n" + tabulate(rows, headers, tablefmt="simple_outline", floatfmt=formats))
    if len({score.setting.k for score in scores}) > 1:
        print(
            "Separation and the silhouette before clustering are those in an embedding that is the same for all K.\n"
            "The silhouette after it is in each model's own, contracted around its clusters: it is high for any K,\n"
            "and nothing is chosen by it."
        )
