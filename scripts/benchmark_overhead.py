"""Measure the time and memory that the framework needs compared to a bare PyTorch loop.

    python scripts/benchmark_overhead.py --data FOLDER --precision 32-true bf16-mixed

Steps of DEC's pretraining on MNIST run through the whole command line (Trainer, TensorBoard, progress bar, all
callbacks, a checkpoint at the end of each epoch) and, alternately in the same process, in a bare loop. The loop has the
same modules from the same seed, the same optimizer, the same autocast and the same batches, which index_select takes
from one scaled float32 tensor. A block is one fit; the first block is a warm-up and does not count. Steps are timed
from the end of the first step to the end of the last step of an epoch; "epoch end" is the time between two epochs
beyond one step.

Then a separate process measures the peak of resident memory of one epoch of pretraining and one of clustering.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from common import (
    ImagesOfFile,
    Recorder,
    add_run_options,
    describe_machine,
    flags,
    mnist_folder,
    new_parser,
    note,
    parse,
    peak_memory,
    silence,
)
from lightning.pytorch import seed_everything
from tabulate import tabulate
from torch import Tensor
from torch.nn import functional

from datamodules import MNISTDataModule
from lightning_dc import DEC, Autoencoder
from lightning_dc.cli import main as lightning_dc
from lightning_dc.randomness import mix_seed

MIB = 2**20


class Block(NamedTuple):
    """Result of one fit.

    Attributes:
        step_seconds: mean seconds of a step in each epoch.
        loss: loss of the last step.
        epoch_end_seconds: seconds between two epochs beyond one step.
    """

    step_seconds: list[float]
    loss: float
    epoch_end_seconds: list[float]


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    add_run_options(parser)
    parser.add_argument(
        "--precision", nargs="+", default=["32-true"], choices=["32-true", "bf16-mixed"], help="precisions to measure"
    )
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each kind")
    parser.add_argument("--epochs", type=int, default=2, help="epochs in a block; a checkpoint precedes the second one")
    parser.add_argument("--skip", choices=["speed", "memory"], help="leave one part out")
    parser.add_argument("--memory-worker", nargs=2, metavar=("NPY", "JSON"), help=argparse.SUPPRESS)
    args = parse(parser)
    if args.memory_worker:
        measure_memory(args, *map(Path, args.memory_worker))
        return
    if min(args.rounds, args.epochs) < 1:
        parser.error("--rounds and --epochs must be at least 1")
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = mnist_folder(parser, args.data, args.samples, scratch)
        data = MNISTDataModule(str(folder), download=False, batch_size=args.batch_size)
        data.setup("fit")
        if args.skip != "speed":
            print_speed(args, data, folder, scratch)
        if args.skip != "memory":
            print_memory(args, data, scratch)


# ---- speed ---------------------------------------------------------------------------------------------------------


def print_speed(args: argparse.Namespace, data: MNISTDataModule, folder: Path, scratch: Path) -> None:
    """Measure and print the seconds of a step."""
    loader = data.train_dataloader()
    if len(loader) < 3:
        raise SystemExit("an epoch needs at least 3 steps; use more samples or a smaller batch")
    x = loader.read(0, loader.n_samples).x
    rows = []
    for precision in args.precision:
        bare: list[Block] = []
        framework: list[Block] = []
        for round_ in range(args.rounds + 1):
            note(f"{precision}: {'warm-up' if round_ == 0 else f'round {round_} of {args.rounds}'}")
            own = [run_bare(args, x, precision)] if round_ % 2 else []
            through = run_framework(args, folder, precision, scratch / f"{precision}-{round_}")
            own = own or [run_bare(args, x, precision)]
            if round_:
                bare += own
                framework.append(through)
        medians = [statistics.median(s for block in blocks for s in block.step_seconds) for blocks in (bare, framework)]
        ends = [end for block in framework for end in block.epoch_end_seconds]
        rows.append(
            [
                precision,
                f"{medians[0] * 1e3:.2f}",
                f"{medians[1] * 1e3:.2f}",
                f"{medians[1] / medians[0]:.3f}",
                f"{(medians[1] - medians[0]) * 1e3:.2f}",
                f"{statistics.median(ends) * 1e3:.0f}" if ends else "",
                len(loader),
                f"{framework[-1].loss / bare[-1].loss - 1:.1e}",
            ]
        )
    headers = [
        "precision",
        "bare",
        "framework",
        "ratio",
        "difference",
        "epoch end",
        "steps an epoch",
        "loss differs by",
    ]
    print(
        f"\nMilliseconds a step, medians of {args.rounds} blocks of {args.epochs} epochs of {loader.n_samples} images"
    )
    print(tabulate(rows, headers, disable_numparse=True))


def run_bare(args: argparse.Namespace, x: Tensor, precision: str) -> Block:
    """Run the training steps without the framework."""
    with silence():
        seed_everything(args.seed)
    model = DEC(x.shape[1:], args.clusters)
    autoencoder = model.model.network
    assert isinstance(autoencoder, Autoencoder)
    optimizer = model.phases[0].config.optimizer([*autoencoder.encoder.parameters(), *autoencoder.decoder.parameters()])
    loss = torch.zeros(())
    seconds = []
    n_steps = -(-len(x) // args.batch_size)
    for epoch in range(args.epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(mix_seed(args.seed, epoch)))
        start = 0.0
        for step in range(n_steps):
            batch = x.index_select(0, order[step * args.batch_size : (step + 1) * args.batch_size])
            with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
                x_hat = autoencoder.decode(autoencoder.encode(batch))
                loss = functional.mse_loss(x_hat.float(), batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step == 0:
                start = time.perf_counter()
        seconds.append((time.perf_counter() - start) / (n_steps - 1))
    return Block(seconds, loss.item(), [])


def run_framework(args: argparse.Namespace, folder: Path, precision: str, runs: Path) -> Block:
    """Run the training steps through the command line."""
    options = {
        "data": "MNISTDataModule",
        "data.folder": folder,
        "data.batch_size": args.batch_size,
        "model.pretraining.max_epochs": args.epochs,
        "model.clustering.max_epochs": 0,
        "trainer.precision": precision,
    }
    fit(args, options, runs)
    recorder = Recorder.latest
    per_epoch = [[time_ for epoch, time_ in recorder.steps if epoch == e] for e in range(args.epochs)]
    steps = [(times[-1] - times[0]) / (len(times) - 1) for times in per_epoch]
    ends = [per_epoch[e + 1][0] - per_epoch[e][-1] - steps[e] for e in range(args.epochs - 1)]
    return Block(steps, recorder.last_loss.item(), ends)


def fit(args: argparse.Namespace, options: dict[str, object], runs: Path) -> None:
    """Fit DEC without layer-wise pretraining through the command line."""
    model = {"model": "DEC", "model.n_clusters": args.clusters, "model.layerwise.max_epochs": 0}
    trainer = {
        "trainer.accelerator": "cpu",
        "trainer.logger.init_args.save_dir": runs,
        "trainer.callbacks+": "common.Recorder",
        "seed_everything": args.seed,
    }
    with silence():
        lightning_dc(["fit", *flags(model), *flags(trainer), *flags(options), *args.overrides])


# ---- memory --------------------------------------------------------------------------------------------------------


def print_memory(args: argparse.Namespace, data: MNISTDataModule, scratch: Path) -> None:
    """Measure and print the memory."""
    note("memory")
    images, result = scratch / "images.npy", scratch / "memory.json"
    x = np.asarray(data.load().x)
    np.save(images, x)
    subprocess.run(
        [sys.executable, sys.argv[0], "--memory-worker", str(images), str(result), *sys.argv[1:]], check=True
    )
    peak = json.loads(result.read_text())
    model = DEC(data.input_shape, args.clusters)
    n, k, d = len(x), args.clusters, model.model.network.latent_dim
    parameters = sum(parameter.numel() * parameter.itemsize for parameter in model.parameters())
    itemsize = model.model.wide_dtype.itemsize
    rows = [
        ("data", f"{n} x {' x '.join(map(str, data.input_shape))}, {x.dtype}", x.nbytes),
        ("peak, data loaded", "all imports of the command line, no model", peak["before"]),
        ("peak, after the fit", "pretraining, k-means, clustering, summary", peak["after"]),
        ("peak beyond the data", "difference of the two above", peak["after"] - peak["before"]),
        ("parameters", "with gradients and Adam's moments 4 times that", parameters),
        ("P", f"{n} x {k}, {model.model.wide_dtype}", n * k * itemsize),
        ("embeddings", f"{n} x {d}, {model.model.wide_dtype}; while k-means runs, and at the end", n * d * itemsize),
        ("assignments", f"{n}, {torch.int32}", n * torch.int32.itemsize),
    ]
    print("\nMemory")
    print(
        tabulate(
            [(name, what, f"{size / MIB:.1f}") for name, what, size in rows],
            ["", "what", "MiB"],
            colalign=("left", "left", "right"),
            disable_numparse=True,
        )
    )


def measure_memory(args: argparse.Namespace, images: Path, result: Path) -> None:
    """Run one epoch of each phase in this process, which does nothing else."""
    options = {
        "data": "common.ImagesOfFile",
        "data.path": images,
        "data.batch_size": args.batch_size,
        "model.pretraining.max_epochs": 1,
        "model.clustering.max_epochs": 1,
        "trainer.precision": args.precision[0],
    }
    fit(args, options, result.parent / "memory")
    result.write_text(json.dumps({"before": ImagesOfFile.peak_before, "after": peak_memory()}))


if __name__ == "__main__":
    main()
