"""Compare the time of loading a batch with the bare indexing that it needs.

    python scripts/benchmark_loader.py

Shuffled batches come from the loader of a DataModule, with scaling, and from the bare operation on the same number of
rows: ``index_select`` of a tensor, or slicing of a scipy matrix and ``toarray``. Every loader must convert bytes to
floating-point numbers; so they are compared with indexing alone, indexing with conversion, and also with scaling. Both
alternate batch by batch in this process. A figure is the median over the batches; for a file that is read in blocks, in
which one batch reads the rows of many, it is the mean. The bare operation is ``index_select`` of the mapping for a
memory-mapped file, and of a tensor in memory for a file that is read in blocks. Files are in the page cache from the
second epoch on.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from common import describe_machine, new_parser, note
from tabulate import tabulate
from torch import Tensor

from datamodules import ArrayDataModule, FileRows
from datamodules.base import ClusteringDataModule


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    parser.add_argument("--samples", type=int, default=50_000, help="number of samples")
    parser.add_argument("--features", type=int, default=2000, help="number of features of the sparse samples")
    parser.add_argument("--dense-features", type=int, default=784, help="number of features of the dense samples")
    parser.add_argument("--density", type=float, default=0.01, help="share of stored values in the sparse samples")
    parser.add_argument("--batch-size", type=int, default=256, help="samples in a batch")
    parser.add_argument("--epochs", type=int, default=9, help="epochs to measure, after one warm-up")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_machine())
    random = np.random.default_rng(0)
    dense = random.random((args.samples, args.dense_features), np.float32)
    bytes_ = random.integers(0, 256, dense.shape, np.uint8)
    shape = (args.samples, args.features)
    sparse: Any = scipy.sparse.random_array(shape, density=args.density, format="csr", dtype=np.float32, rng=random)
    tensor, byte_tensor = torch.from_numpy(dense), torch.from_numpy(bytes_)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        np.save(path, dense)
        mapped = torch.from_numpy(np.load(path, mmap_mode="c"))
        cases: list[tuple[str, Any, Callable[[Tensor], Tensor]]] = [
            ("sparse, float32", sparse, lambda rows: torch.from_numpy(sparse[rows.numpy()].toarray())),
            ("dense, float32", dense, lambda rows: tensor.index_select(0, rows)),
            ("dense, uint8: index", bytes_, lambda rows: byte_tensor.index_select(0, rows)),
            ("dense, uint8: and convert", bytes_, lambda rows: byte_tensor.index_select(0, rows).float()),
            ("dense, uint8: and scale", bytes_, lambda rows: byte_tensor.index_select(0, rows).float().mul_(0.5)),
            ("memory-mapped, float32", str(path), lambda rows: mapped.index_select(0, rows)),
            ("file in blocks, float32", FileRows.of_npy(path), lambda rows: tensor.index_select(0, rows)),
        ]
        rows = [measure(args, *case) for case in cases]
    print(f"\nMilliseconds a batch of {args.batch_size}, {args.epochs} epochs of {args.samples:,} samples")
    print(tabulate(rows, ["", "features", "loader", "bare indexing", "ratio"], disable_numparse=True))


def measure(args: argparse.Namespace, name: str, x: Any, bare: Callable[[Tensor], Tensor]) -> list[object]:
    """Measure one row of the table."""
    data: ClusteringDataModule = ArrayDataModule(x, batch_size=args.batch_size)
    data.setup("fit")
    loader = data.train_dataloader()
    seconds: dict[str, list[float]] = {"loader": [], "bare": []}
    for epoch in range(args.epochs + 1):
        note(f"{name}: {'warm-up' if epoch == 0 else f'epoch {epoch} of {args.epochs}'}")
        loader.set_epoch(epoch)
        other = [batch.index for batch in loader]  # rows for bare indexing, which the loader has not just read
        loader.set_epoch(args.epochs + 1 + epoch)
        batches = iter(loader)
        held: list[object] = [None, None]  # a training loop keeps its batch until it has the next one
        for rows in other:
            start = time.perf_counter()
            held[0] = next(batches)
            between = time.perf_counter()
            held[1] = bare(rows)
            end = time.perf_counter()
            if epoch:
                seconds["loader"].append(between - start)
                seconds["bare"].append(end - between)
    average = statistics.mean if isinstance(x, FileRows) else statistics.median
    ours, theirs = (average(seconds[kind]) for kind in ("loader", "bare"))
    return [name, data.input_shape[0], f"{ours * 1e3:.3f}", f"{theirs * 1e3:.3f}", f"{ours / theirs:.2f}"]


if __name__ == "__main__":
    main()
