"""Compare the shipped configurations with plain ways, on data as users bring it whose true clusters are known.

    python scripts/benchmark_own_data.py --seeds 0 1 2 3 4

Each set is clustered by the shipped configuration for its kind (``table``, ``cells``, ``text``, ``images``,
``embeddings``) through the command line, with a path and the number of clusters alone, and by the plain ways. Labels
only evaluate. The last table has medians over the seeds. Ways whose package is not installed are left out
(palmerpenguins, scanpy, leidenalg, igraph, umap-learn, skrub), and so are sets. The set ``reuters`` needs the folder of
the data sets. The patients of scikit-survival have no true clusters; three are looked for, and a table of its own tells
how far their survival, which no way has seen, differs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from common import add_data_option, console_script, describe_machine, new_parser, note, silence
from own_data_sets import SETS, SURVIVAL, OwnData, SurvivalData, makers
from own_data_ways import OF_FIELD, ON_INPUTS, ON_TABLES, quietly
from pyarrow import parquet
from sklearn.metrics import normalized_mutual_info_score
from tabulate import tabulate

OURS = "shipped configuration"
FREE_K = "PCA, HDBSCAN"  # which chooses the number of clusters itself


class Score(NamedTuple):
    """Agreement of clusters with the truth, and what they cost.

    Attributes:
        agreement: adjusted Rand index; of patients the chi-square of the log-rank test between the clusters.
        nmi: normalized mutual information; None of patients.
        seconds: wall-clock time; of the shipped configuration with start and imports.
        mib: largest resident memory of the process, MiB; None for ways that run in this process.
    """

    agreement: float
    nmi: float | None
    seconds: float
    mib: float | None


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the sets and of the methods")
    names = [*SETS, "reuters", *SURVIVAL]
    parser.add_argument("--sets", nargs="+", default=names, choices=names, help="sets to cluster")
    parser.add_argument("--table", default="table", help="configuration for tables, such as dec_table")
    parser.add_argument("--ours-only", action="store_true", help="leave the plain ways out")
    parser.add_argument("--output", type=Path, help="JSON file of all scores")
    args = parser.parse_args()
    script = console_script(parser)
    print(describe_machine())
    scores: dict[str, dict[str, list[Score]]] = {}
    for name, make in makers(args.sets, args.data):
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as folder:
                found = _score_set(name, partial(make, Path(folder), seed), script, seed, args)
            for way, score in found.items():
                scores.setdefault(name, {}).setdefault(way, []).append(score)
                note(f"{name}, seed {seed}: {way}: {score.agreement:.3f}, {score.seconds:.1f} s")
            if args.output is not None:
                args.output.write_text(json.dumps(scores, indent=1))
    for measure, is_survival in (("ARI", False), ("Chi-square of the log-rank test", True)):
        shown = {name: ways for name, ways in scores.items() if (name in SURVIVAL) == is_survival}
        if shown:
            print(f"\n{measure}, medians over seeds {args.seeds}; s and MiB of the whole command that is shipped")
            columns = ["set", "shipped", "least", "k-means", "best plain way", "its", "s", "MiB"]
            print(tabulate(_rows(shown), columns, disable_numparse=True))


def _score_set(
    name: str, make: Callable[[], OwnData | SurvivalData], script: str, seed: int, args: argparse.Namespace
) -> dict[str, Score]:
    """Return the scores of all ways on a set, by their names."""
    try:
        data = make()
    except ImportError as error:
        note(f"{name} is left out: {error}")
        return {}
    flags = [f"--config={args.table}" if flag == "--config=table" else flag for flag in data.flags]
    scores = {OURS: _score_ours(data._replace(flags=flags), script, seed)}
    if args.ours_only:
        return scores
    configuration = data.flags[0].removeprefix("--config=")
    with silence():
        x = inputs_of(data)
    runs: dict[str, Callable[[], Any]] = {}
    for way, cluster in {**ON_INPUTS, **OF_FIELD.get(configuration, {})}.items():
        if isinstance(data, SurvivalData) and way == FREE_K:
            continue  # the chi-square grows with the number of clusters
        runs[way] = partial(cluster, x, data.n_clusters, seed)
    if configuration == "table":
        path = Path(data.flags[1].removeprefix("--data.path="))
        runs |= {way: partial(of_table, path, data.n_clusters, seed) for way, of_table in ON_TABLES.items()}
    for way, run in runs.items():
        start = time.perf_counter()
        try:
            with silence():
                labels = quietly(run)
        except ImportError as error:
            note(f"{way} is left out: {error}")
            continue
        scores[way] = _score(data, labels, time.perf_counter() - start, None)
    return scores


def _score_ours(data: OwnData | SurvivalData, script: str, seed: int) -> Score:
    """Run the shipped configuration in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--model.n_clusters={data.n_clusters}", f"--seed_everything={seed}"]
        start = time.perf_counter()
        with subprocess.Popen(
            [script, "fit", *data.flags, *flags], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            assert process.stderr is not None
            said = process.stderr.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if process.returncode != 0:
            raise RuntimeError(f"lightning-dc fit {' '.join(data.flags)} failed: {said[-1000:]}")
        table = parquet.read_table(next(Path(folder).rglob("clusters.parquet")), columns=["index", "cluster"])
    labels = np.empty(len(data.truth), np.int64)
    labels[table["index"].to_numpy()] = table["cluster"].to_numpy()
    return _score(data, labels, seconds, usage.ru_maxrss / 1024)


def _score(data: OwnData | SurvivalData, labels: Any, seconds: float, mib: float | None) -> Score:
    nmi = float(normalized_mutual_info_score(data.truth, labels)) if isinstance(data, OwnData) else None
    return Score(data.agreement(labels), nmi, seconds, mib)


def inputs_of(data: OwnData | SurvivalData) -> Any:
    """Return the inputs that the shipped configuration gives its network, (N, F)."""
    return module_of(data).train_dataloader().read(0, len(data.truth)).x.flatten(1).numpy()


def module_of(data: OwnData | SurvivalData) -> Any:
    """Return the DataModule that the shipped configuration makes of the data."""
    from lightning_dc.configs import find_config

    described = yaml.safe_load(find_config(data.flags[0].removeprefix("--config=")).read_text())["data"]
    flags = (flag.removeprefix("--data.").split("=", 1) for flag in data.flags if flag.startswith("--data."))
    given = {name: int(value) if value.isdigit() else value for name, value in flags}
    own_class = next((flag.removeprefix("--data=") for flag in data.flags if flag.startswith("--data=")), None)
    arguments = given if own_class else {**described["init_args"], **given}
    module = getattr(import_module("datamodules"), own_class or described["class_path"])(**arguments)
    module.prepare_data()
    module.setup("fit")
    return module


def _rows(scores: dict[str, dict[str, list[Score]]]) -> list[list[str]]:
    rows = []
    for name, ways in scores.items():
        ours = ways[OURS]
        plain = {
            way: statistics.median(score.agreement for score in found) for way, found in ways.items() if way != OURS
        }
        best = max(plain, key=lambda way: plain[way], default="")
        rows.append(
            [
                name,
                f"{statistics.median(score.agreement for score in ours):.3f}",
                f"{min(score.agreement for score in ours):.3f}",
                f"{plain['k-means']:.3f}" if plain else "",
                best,
                f"{plain[best]:.3f}" if best else "",
                f"{statistics.median(score.seconds for score in ours):.1f}",
                f"{statistics.median(score.mib or 0 for score in ours):.0f}",
            ]
        )
    return rows


if __name__ == "__main__":
    main()
