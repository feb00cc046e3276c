"""What a batch costs beside the bare indexing that it takes.

    python scripts/benchmark_loader.py

One epoch of shuffled batches comes from the loader of a DataModule, scaled, and from the bare operation on the same
number of rows: ``index_select`` of a tensor, or slicing of a scipy matrix and ``toarray``. Bytes have to become
floating-point numbers as well, whatever the loader; they are compared to indexing alone, with that, and with scaling.
Both take turns, batch by batch, in this process; a figure is the median of the batches, and of a file that is read in
blocks, where one batch of many reads for all, their mean. The bare operation on a mapped file is ``index_select`` of
the mapping, on one that is read in blocks that of a tensor in memory; files are in the page cache from the second epoch
on.
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
    parser.add_argument("--epochs", type=int, default=9, help="epochs that count, after one that does not")
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
    """One row of the table."""
    data: ClusteringDataModule = ArrayDataModule(x, batch_size=args.batch_size)
    data.setup("fit")
    loader = data.train_dataloader()
    seconds: dict[str, list[float]] = {"loader": [], "bare": []}
    for epoch in range(args.epochs + 1):
        note(f"{name}: {'warm-up' if epoch == 0 else f'epoch {epoch} of {args.epochs}'}")
        loader.set_epoch(epoch)
        other = [batch.index for batch in loader]  # rows that bare indexing takes: none that the loader has just read
        loader.set_epoch(args.epochs + 1 + epoch)
        batches = iter(loader)
        held: list[object] = [None, None]  # as a training loop holds its batch until the next one is there
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
