"""Let lightning-dc select choose the number of clusters of data of one's own whose true clusters are known.

    python scripts/benchmark_select.py --seeds 0 1 2
    python scripts/benchmark_select.py --seeds 0 1 2 --shuffled --tendency-only

Each set is given to ``lightning-dc select`` with the shipped configuration for its kind and the numbers of clusters
from three below to three above the true one. The table has the number that it chooses with each seed, "none" where it
finds no clusters, and with how many seeds a fit with the true number tells that there are no clusters. ``--shuffled``
shuffles each column of the data by itself first, after which there are none. Sets whose package is not installed are
left out.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmark_own_data import module_of
from common import console_script, describe_machine, new_parser, note, silence
from own_data_sets import SETS, OwnData
from tabulate import tabulate


class Found(NamedTuple):
    """What is found in a set with one seed.

    Attributes:
        true_k: number of true clusters.
        chosen: number that ``select`` chooses, or "none"; empty if it was not asked.
        is_clustered: whether a fit with the true number does without the sentence that there are no clusters; None if
            it has nothing to compare.
    """

    true_k: int
    chosen: str
    is_clustered: bool | None


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the sets")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS), help="sets to cluster")
    parser.add_argument("--resamples", type=int, default=5, help="number of fits of each number of clusters")
    parser.add_argument("--shuffled", action="store_true", help="shuffle each column of the data by itself first")
    parser.add_argument("--tendency-only", action="store_true", help="choose no number of clusters")
    args = parser.parse_args()
    script = console_script(parser)
    print(describe_machine())
    rows = []
    for name in args.sets:
        found = [result for seed in args.seeds if (result := _examine(name, seed, script, args)) is not None]
        if found:
            rows.append(
                [
                    name,
                    " ".join(str(result.true_k) for result in found),
                    " ".join(result.chosen for result in found),
                    f"{sum(result.is_clustered is False for result in found)} of {len(found)}",
                ]
            )
    print(tabulate(rows, ["set", "true K", "chosen K", "no clusters, says a fit"], disable_numparse=True))


def _examine(name: str, seed: int, script: str, args: argparse.Namespace) -> Found | None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            data = SETS[name](folder, seed)
        except ImportError as error:
            note(f"{name} is left out: {error}")
            return None
        assert isinstance(data, OwnData)
        if args.shuffled:
            _shuffle(folder, np.random.default_rng(seed))
        chosen = "" if args.tendency_only else _choose(data, script, args.resamples, folder)
        found = Found(data.n_clusters, chosen, _is_clustered(data, seed))
    note(f"{name}, seed {seed}: {found}")
    return found


def _choose(data: OwnData, script: str, resamples: int, folder: Path) -> str:
    """Return the number of clusters that ``lightning-dc select`` chooses, or "none"."""
    numbers = map(str, range(max(2, data.n_clusters - 3), data.n_clusters + 4))
    output = folder / "select"
    command = [script, "select", *data.flags[:1], "--k", *numbers, f"--resamples={resamples}", f"--output={output}"]
    run = subprocess.run([*command, "--", *data.flags[1:]], cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {run.stderr[-1000:]}")
    with (output / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    note("\n".join(" ".join(f"{key} {value[:6]}" for key, value in row.items()) for row in rows))
    return next((row["k"] for row in rows if row["chosen"] == "1"), "none")


def _is_clustered(data: OwnData, seed: int) -> bool | None:
    """Tell whether the report of a fit would find clusters in the inputs."""
    from lightning_dc.reports.cluster_tendency import cluster_tendency

    with silence():
        module = module_of(data)
        x = module.train_dataloader().read(0, len(data.truth)).x.flatten(1)
        found = cluster_tendency(x, data.n_clusters, module.feature_groups, seed)
    return None if found is None else found.is_clustered


def _shuffle(folder: Path, random: np.random.Generator) -> None:
    """Shuffle each column of the data in a folder, whatever kind of file they are in."""
    pictures = sorted(folder.glob("*.png"))
    if pictures:
        _shuffle_pictures(pictures, random)
        return
    for path in folder.iterdir():
        _SHUFFLERS[path.suffix](path, random)


def _shuffle_pictures(paths: Sequence[Path], random: np.random.Generator) -> None:
    from PIL import Image

    pixels = random.permuted(np.stack([np.asarray(Image.open(path)) for path in paths]), axis=0)
    for path, picture in zip(paths, pixels, strict=True):
        Image.fromarray(picture).save(path)


def _shuffle_csv(path: Path, random: np.random.Generator) -> None:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    columns = [[row[j] for row in rows] for j in range(len(header))]
    shuffled = zip(*([column[i] for i in random.permutation(len(rows))] for column in columns), strict=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *shuffled])


def _shuffle_array(path: Path, random: np.random.Generator) -> None:
    np.save(path, random.permuted(np.load(path), axis=0))


def _shuffle_cells(path: Path, random: np.random.Generator) -> None:
    import anndata
    from scipy import sparse

    cells = anndata.read_h5ad(path)
    counts: Any = cells.X
    anndata.AnnData(sparse.csr_matrix(random.permuted(counts.toarray(), axis=0))).write_h5ad(path)


_SHUFFLERS: dict[str, Callable[[Path, np.random.Generator], None]] = {
    ".csv": _shuffle_csv,
    ".npy": _shuffle_array,
    ".h5ad": _shuffle_cells,
}


if __name__ == "__main__":
    main()
