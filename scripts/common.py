"""Shared parts of the scripts: options, the MNIST files, and a callback that records times."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from datamodules.base import ClusteringDataModule
from datamodules.idx import read_idx
from datamodules.loading.samples import Samples
from datamodules.mnist import CHECKSUMS
from lightning_dc.functional import agreement_scores, contingency_table
from lightning_dc.training import assign_all, clustering_module, training_loader

DATA_VARIABLE = "LIGHTNING_DC_DATA"
"""Environment variable that names the folder of the data sets."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Formatter that keeps the line breaks of a description and adds the defaults of arguments."""


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """Create a parser whose help shows the docstring of a module with its line breaks."""
    return argparse.ArgumentParser(description=description, formatter_class=_HelpFormatter)


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the arguments of the process; arguments after ``--`` become ``overrides`` for ``lightning-dc fit``."""
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser.usage = parser.format_usage().removeprefix("usage: ").rstrip() + " [-- ARGUMENTS OF lightning-dc fit]"
    args = parser.parse_args(arguments[:split])
    args.overrides = arguments[split + 1 :]
    return args


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--data``."""
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get(DATA_VARIABLE),
        help=f"folder of the data sets, with MNIST in mnist/; the default is ${DATA_VARIABLE}",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all benchmarks on MNIST have."""
    add_data_option(parser)
    parser.add_argument(
        "--samples", type=int, help="use the first SAMPLES images, to try the script; None is all images"
    )
    parser.add_argument("--batch-size", type=int, default=256, help="samples in a batch")
    parser.add_argument("--clusters", type=int, default=10, help="number of clusters")
    parser.add_argument("--seed", type=int, default=0, help="seed of all runs")


def console_script(parser: argparse.ArgumentParser) -> str:
    """Return the path of ``lightning-dc`` in the environment that runs this script."""
    path = Path(sys.executable).with_name("lightning-dc")
    if not path.is_file():
        parser.error(f"{path} does not exist; install the project into this environment (pip install -e .)")
    return str(path)


def data_folder(parser: argparse.ArgumentParser, data: Path | None) -> Path:
    """Return the folder of the data sets, or end with an error that tells the user what to do."""
    if data is None:
        parser.error(f"give --data, the folder of the data sets, or set {DATA_VARIABLE}")
    if not data.is_dir():
        parser.error(f"--data {str(data)!r} is no folder")
    return data


def mnist_folder(parser: argparse.ArgumentParser, data: Path | None, n_samples: int | None, scratch: Path) -> Path:
    """Return the folder of the four MNIST files; ``n_samples`` makes shortened copies of them in ``scratch``."""
    folder = data_folder(parser, data) / "mnist"
    sources = {name: folder / name for name in CHECKSUMS}
    for name, path in sources.items():
        if not path.is_file():
            plain = path.with_suffix("")
            if not plain.is_file():
                parser.error(f"{folder} lacks {name}; put the four files of MNIST there")
            sources[name] = plain
    if n_samples is None:
        return folder
    if n_samples < 2:
        parser.error(f"--samples {n_samples} must be at least 2")
    # One of the images stays in the test set, since the DataModule merges both sets.
    for name, path in sources.items():
        array = read_idx(path)[: 1 if name.startswith("t10k") else n_samples - 1]
        header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
        (scratch / name.removesuffix(".gz")).write_bytes(header + array.tobytes())
    return scratch


def describe_machine() -> str:
    """Return one line about the machine, to be printed with every timing."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"lightning {metadata.version('lightning')}, load average {load}"
    )


def note(message: str) -> None:
    """Print a progress message on standard error."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discard output in a ``with`` block; progress bars and tables still do their work, and logged warnings stay."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        logging.disable(logging.INFO)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def flags(options: Mapping[str, object]) -> list[str]:
    """Convert options to arguments of ``lightning-dc``."""
    return [f"--{name}={value}" for name, value in options.items()]


def accuracy(clusters: Tensor, classes: Tensor) -> float:
    """Return the clustering accuracy of assignments, (N,), against classes, (N,)."""
    table = contingency_table(clusters, classes, int(clusters.max()) + 1, int(classes.max()) + 1)
    return agreement_scores(table.numpy())["acc"]


class Recorder(Callback):
    """Callback that records the times of a fit, and its assignments at each refresh of the target distribution.

    The command line creates it (``--trainer.callbacks+=common.Recorder``); ``Recorder.latest`` is the latest one. All
    times are in seconds since the data were loaded, before the model has done anything.

    Attributes:
        epochs: phase and time at the start of each epoch.
        steps: epoch and time at the end of each step.
        phases: phase and time at the start of each phase.
        assignments: time and labels, (N,), at each refresh and after the last step.
        end: time after the last step, before the summary of the run.
        last_loss: loss of the last step.
    """

    latest: Recorder

    def __init__(self) -> None:
        Recorder.latest = self
        self.epochs: list[tuple[str, float]] = []
        self.steps: list[tuple[int, float]] = []
        self.phases: list[tuple[str, float]] = []
        self.assignments: list[tuple[float, Tensor]] = []
        self.end = 0.0
        self.last_loss = torch.zeros(())
        self._zero = 0.0
        self._seen: int | None = None

    @property
    def epoch_seconds(self) -> list[tuple[str, float]]:
        """Phase and seconds of each epoch, including the time until the next epoch (checkpoints)."""
        starts = [*(start for _, start in self.epochs), self.end]
        return [(phase, starts[i + 1] - starts[i]) for i, (phase, _) in enumerate(self.epochs)]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._zero = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append((clustering_module(pl_module).phase.name, self._now()))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        phase = clustering_module(pl_module).phase.name
        if not self.phases or self.phases[-1][0] != phase:
            self.phases.append((phase, self._now()))
        self._look(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.steps.append((trainer.current_epoch, self._now()))
        self.last_loss = outputs["loss"]
        self._look(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        self.end = self._now()
        labels = assign_all(module, training_loader(module), keep_q=False).labels
        self.assignments.append((self._now(), labels.cpu()))

    def _look(self, pl_module: pl.LightningModule) -> None:
        """Record the assignments if they are new; as refreshes run after this callback, it sees them one hook later."""
        latest = clustering_module(pl_module).state.assignments
        if latest is not None and latest.step != self._seen:
            self._seen = latest.step
            self.assignments.append((self._now(), latest.labels.cpu()))

    def _now(self) -> float:
        return time.perf_counter() - self._zero


class ImagesOfFile(ClusteringDataModule):
    """DataModule of images in a NumPy file, which records the peak of memory before the model is created.

    Args:
        path: ``.npy`` file with an array of the shape (N, *input_shape).
        batch_size: samples in a training batch.
    """

    peak_before = 0

    def __init__(self, path: str, batch_size: int) -> None:
        super().__init__(batch_size)
        self.path = path

    def load(self) -> Samples:
        x = np.load(self.path)
        ImagesOfFile.peak_before = peak_memory()
        return Samples(x)


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes."""
    if Path("/proc/self/status").is_file():  # getrusage also counts memory of the parent at the fork
        return memory_status("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_status(name: str) -> int:
    """Return a figure of ``/proc/self/status`` in bytes: ``VmRSS``, ``VmHWM`` (its peak) or ``RssAnon``. Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {name}; this needs Linux")
