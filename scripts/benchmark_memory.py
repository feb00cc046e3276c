"""Measure seconds and peak memory of fits on large dense, sparse and Parquet data.

    python scripts/benchmark_memory.py --cases narrow sparse file parquet --folder /var/tmp

Each case is a fit through the command line in a process of its own:

- ``narrow``: N = 10^7 samples of 10 features around ten centres in a ``.npy`` file. DEC pretrains an autoencoder,
  k-means runs over all embeddings, P is refreshed, and all clusters are written to a file.
- ``sparse``: a CSR matrix of 685,071 x 2,000 with 1 % stored values, the size of REUTERS in the DEC paper (the RCV1
  documents), with the same run.
- ``file``: a file of 20.5 GB with 10^7 samples of 512 features, most of which are a hole in the file, with the same
  run.
- ``parquet``: a Parquet file of 66,000 x 2,000 in one row group, with its conversion and the same run.

"peak" is the highest resident memory of the process according to the kernel (VmHWM of /proc/self/status), including
pages of mapped files. "own" is the highest memory without pages of files (RssAnon), sampled 100 times a second.
"before" is the resident memory after all imports; in the sparse case, the matrix is loaded, too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import Recorder, describe_machine, flags, memory_status, new_parser, note, silence
from tabulate import tabulate

from datamodules.base import ClusteringDataModule
from datamodules.loading.samples import Samples
from lightning_dc.cli import main as lightning_dc

MIB = 2**20
_PIECE = 1 << 18


class CSRFile(ClusteringDataModule):
    """DataModule of a CSR matrix from three ``.npy`` files, which records the memory after they are loaded.

    Args:
        folder: folder of the files.
        n_features: number of columns.
        batch_size: samples in a training batch.
    """

    before = 0

    def __init__(self, folder: str, n_features: int, batch_size: int) -> None:
        super().__init__(batch_size)
        self.folder = Path(folder)
        self.n_features = n_features

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.n_features,)

    def load(self) -> Samples:
        from scipy.sparse import csr_matrix

        values, indices, indptr = (np.load(self.folder / f"{name}.npy") for name in ("data", "indices", "indptr"))
        matrix: Any = csr_matrix((values, indices, indptr), shape=(len(indptr) - 1, self.n_features), copy=False)
        CSRFile.before = memory_status("VmRSS")
        return Samples(matrix)


class Peak:
    """Thread that finds the highest memory of this process without pages of files."""

    def __init__(self) -> None:
        self.highest = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Stop the thread, and return the highest memory in bytes."""
        self._stop.set()
        self._thread.join()
        return self.highest

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.highest = max(self.highest, memory_status("RssAnon"))


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    cases = ["narrow", "sparse", "file", "parquet"]
    parser.add_argument("--cases", nargs="+", default=cases, choices=cases, help="cases to run")
    parser.add_argument(
        "--folder", type=Path, help="folder for the data, with 2 GB of free space; None is a temporary folder"
    )
    parser.add_argument("--samples", type=int, help="samples of each case, to try the script; None is all samples")
    parser.add_argument("--steps", type=int, default=200, help="steps of pretraining and of clustering")
    parser.add_argument(
        "--clusters-file", default="clusters.parquet", help="name of the file of clusters, .parquet or .npz"
    )
    parser.add_argument("--batch-size", type=int, default=256, help="samples in a batch")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args, args.worker[0], Path(args.worker[1]))
        return
    print(describe_machine())
    rows = []
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        for case in args.cases:
            folder = Path(name) / case
            folder.mkdir()
            note(f"{case}: writing the data")
            shape = write(case, folder, args.samples)
            note(f"{case}: fit")
            subprocess.run([sys.executable, sys.argv[0], "--worker", case, str(folder), *sys.argv[1:]], check=True)
            result = json.loads((folder / "result.json").read_text())
            rows.append(
                [
                    case,
                    f"{shape[0]:,} x {shape[1]:,}",
                    f"{sum(path.stat().st_size for path in folder.glob('*.*') if path.is_file()) / MIB:,.0f}",
                    f"{result['seconds']:.0f}",
                    f"{result['clustering']:.0f}",
                    f"{result['before'] / MIB:,.0f}",
                    f"{result['peak'] / MIB:,.0f}",
                    f"{result['own'] / MIB:,.0f}",
                    f"{(result['peak'] - result['before']) / MIB:,.0f}",
                ]
            )
    headers = ["", "samples", "data", "seconds", "clustering", "before", "peak", "own", "peak - before"]
    print("\nMiB, and seconds of a fit; clustering is from k-means to the last step, refreshes of P included")
    print(tabulate(rows, headers, disable_numparse=True))


def work(args: argparse.Namespace, case: str, folder: Path) -> None:
    """Run one fit in this process, which does nothing else."""
    data: dict[str, object] = {"data": "datamodules.ArrayDataModule", "data.x": folder / "x.npy"}
    if case == "sparse":
        data = {"data": "benchmark_memory.CSRFile", "data.folder": folder, "data.n_features": 2000}
    if case == "parquet":
        data = {"data": "datamodules.ParquetDataModule", "data.path": folder / "x.parquet"}
    widths = "[500,500,2000]" if case == "sparse" else "[32]"
    options = {
        "summary.file_name": args.clusters_file,
        "model": "DEC",
        "model.n_clusters": 10,
        "model.autoencoder": "MLPAutoencoder",
        "model.autoencoder.hidden_dims": widths,
        "model.autoencoder.latent_dim": 10,
        "model.layerwise.max_epochs": 0,
        "model.pretraining.max_steps": args.steps,
        "model.clustering.max_steps": args.steps,
        "model.clustering.optimizer": "torch.optim.SGD",
        "model.clustering.optimizer.lr": 0.01,
        "model.refresh.every_n_steps": max(1, args.steps // 2),
        "model.refresh.tolerance": 0,
        **data,
        "data.batch_size": args.batch_size,
        "trainer.accelerator": "cpu",
        "trainer.logger.init_args.save_dir": folder / "runs",
        "trainer.callbacks+": "common.Recorder",
        "seed_everything": 0,
    }
    import benchmark_memory  # the class that the command line uses, which is not that of __main__

    imported, peak, start = memory_status("VmRSS"), Peak(), time.perf_counter()
    with silence():
        lightning_dc(["fit", *flags(options)])
    seconds = time.perf_counter() - start
    starts = [at for phase, at in Recorder.latest.phases if phase == "clustering"]
    result = {
        "seconds": seconds,
        "clustering": Recorder.latest.end - starts[0],
        "before": benchmark_memory.CSRFile.before if case == "sparse" else imported,
        "peak": memory_status("VmHWM"),
        "own": peak.stop(),
    }
    (folder / "result.json").write_text(json.dumps(result))


def write(case: str, folder: Path, n_samples: int | None) -> tuple[int, int]:
    """Write the data of a case, and return their shape."""
    random = np.random.default_rng(0)
    if case == "sparse":
        shape = (n_samples or 685_071, 2000)
        write_csr(folder, *shape, random)
        return shape
    if case == "parquet":
        shape = (n_samples or 66_000, 2000)
        write_parquet(folder / "x.parquet", *shape, random)
        return shape
    shape = (n_samples or 10_000_000, 10 if case == "narrow" else 512)
    x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float32, shape=shape)
    centres = random.normal(scale=3.0, size=(10, shape[1])).astype(np.float32)
    last = shape[0] if case == "narrow" else min(shape[0], _PIECE)  # the rest stays a hole in the file
    for start in range(0, last, _PIECE):
        n_rows = min(_PIECE, last - start)
        noise = random.standard_normal((n_rows, shape[1]), np.float32)
        x[start : start + n_rows] = centres[random.integers(0, 10, n_rows)] + noise
    x.flush()
    return shape


def write_parquet(path: Path, n_samples: int, n_features: int, random: np.random.Generator) -> None:
    """Write one row group of normal random numbers around ten centres."""
    import pyarrow
    from pyarrow import parquet

    group = random.integers(0, 10, n_samples)
    columns = (
        random.normal(size=10).astype(np.float32)[group] + random.standard_normal(n_samples, np.float32)
        for _ in range(n_features)
    )
    table = pyarrow.table({f"feature_{j}": column for j, column in enumerate(columns)})
    parquet.write_table(table, path, row_group_size=n_samples)


def write_csr(folder: Path, n_samples: int, n_features: int, random: np.random.Generator) -> None:
    """Write rows of unit length with values in 1 % of the columns, which depend on the row's group, one of ten."""
    n_stored = n_features // 100
    starts = np.sort(random.integers(0, n_features // n_stored, (n_samples, n_stored), dtype=np.int32), 1)
    columns = np.arange(n_stored, dtype=np.int32) * (n_features // n_stored) + starts
    columns = np.sort((columns // 2 + (n_features // 20) * random.integers(0, 10, (n_samples, 1))) % n_features, 1)
    values = random.random(columns.shape, np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    np.save(folder / "data.npy", values.reshape(-1))
    np.save(folder / "indices.npy", columns.astype(np.int32).reshape(-1))
    np.save(folder / "indptr.npy", np.arange(0, n_samples * n_stored + 1, n_stored, dtype=np.int32))


if __name__ == "__main__":
    main()
