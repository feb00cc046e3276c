"""What the scripts share: options, the MNIST files, and a callback that keeps time."""

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
    """Text as it is written, with defaults."""


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is written."""
    return argparse.ArgumentParser(description=description, formatter_class=_HelpFormatter)


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the arguments of the process; those after ``--`` become ``overrides``, for ``lightning-dc fit``."""
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser.usage = parser.format_usage().removeprefix("usage: ").rstrip() + " [-- ARGUMENTS OF lightning-dc fit]"
    args = parser.parse_args(arguments[:split])
    args.overrides = arguments[split + 1 :]
    return args


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``."""
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get(DATA_VARIABLE),
        help=f"folder of the data sets, with MNIST in mnist/; the default is ${DATA_VARIABLE}",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add options that the benchmarks on MNIST share."""
    add_data_option(parser)
    parser.add_argument("--samples", type=int, help="use the first SAMPLES images, to try the script out; None is all")
    parser.add_argument("--batch-size", type=int, default=256, help="samples in a batch")
    parser.add_argument("--clusters", type=int, default=10, help="number of clusters")
    parser.add_argument("--seed", type=int, default=0, help="seed of all runs")


def console_script(parser: argparse.ArgumentParser) -> str:
    """Path of ``lightning-dc`` in the environment that runs this script."""
    path = Path(sys.executable).with_name("lightning-dc")
    if not path.is_file():
        parser.error(f"{path} does not exist; install the project into this environment (pip install -e .)")
    return str(path)


def data_folder(parser: argparse.ArgumentParser, data: Path | None) -> Path:
    """The folder of the data sets, or a parser error that says what to do."""
    if data is None:
        parser.error(f"give --data, the folder of the data sets, or set {DATA_VARIABLE}")
    if not data.is_dir():
        parser.error(f"--data {str(data)!r} is no folder")
    return data


def mnist_folder(parser: argparse.ArgumentParser, data: Path | None, n_samples: int | None, scratch: Path) -> Path:
    """Folder of the four MNIST files; with ``n_samples``, of copies in ``scratch`` that are cut to so many images."""
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
    # One image stays in the test set: the DataModule pools both.
    for name, path in sources.items():
        array = read_idx(path)[: 1 if name.startswith("t10k") else n_samples - 1]
        header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
        (scratch / name.removesuffix(".gz")).write_bytes(header + array.tobytes())
    return scratch


def describe_machine() -> str:
    """One line that belongs beside every timing."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"lightning {metadata.version('lightning')}, load average {load}"
    )


def note(message: str) -> None:
    """Progress, on standard error."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Drop what is printed: progress bars and tables still do their work. Warnings stay."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        logging.disable(logging.INFO)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def flags(options: Mapping[str, object]) -> list[str]:
    """Options as arguments of ``lightning-dc``."""
    return [f"--{name}={value}" for name, value in options.items()]


def accuracy(clusters: Tensor, classes: Tensor) -> float:
    """Clustering accuracy of assignments, (N,), against classes, (N,)."""
    table = contingency_table(clusters, classes, int(clusters.max()) + 1, int(classes.max()) + 1)
    return agreement_scores(table.numpy())["acc"]


class Recorder(Callback):
    """Keeps the times of a fit, and its assignments at each refresh of the target distribution.

    The command line builds it (``--trainer.callbacks+=common.Recorder``); ``Recorder.latest`` is the one built last.
    All times are seconds since the data were loaded, before the model has done anything.

    Attributes:
        epochs: phase and time at the start of each epoch.
        steps: epoch and time at the end of each step.
        phases: phase and time at the start of each phase.
        assignments: time and labels, (N,), at each refresh, and after the last step.
        end: time after the last step, without the summary of the run.
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
        """Phase and length of each epoch, what happens between two epochs (checkpoints) included."""
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
        """Note the assignments if they are new; the refresh has its turn after this callback, so one hook later."""
        latest = clustering_module(pl_module).assignments
        if latest is not None and latest.step != self._seen:
            self._seen = latest.step
            self.assignments.append((self._now(), latest.labels.cpu()))

    def _now(self) -> float:
        return time.perf_counter() - self._zero


class ArrayDataModule(ClusteringDataModule):
    """Images from a NumPy file, read without a copy; it notes the peak of memory before the model is built.

    Args:
        path: ``.npy`` file, (N, *input_shape).
        batch_size: samples in a training batch.
    """

    peak_before = 0

    def __init__(self, path: str, batch_size: int) -> None:
        super().__init__(batch_size)
        self.path = path

    def load(self) -> Samples:
        x = np.load(self.path)
        ArrayDataModule.peak_before = peak_memory()
        return Samples(x)


def peak_memory() -> int:
    """Peak resident memory of this process, bytes."""
    if Path("/proc/self/status").is_file():  # getrusage counts what the parent had at the time of the fork, too
        return memory_status("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_status(name: str) -> int:
    """A figure of ``/proc/self/status``, bytes: ``VmRSS``, ``VmHWM`` (its peak) or ``RssAnon``. Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {name}; this needs Linux")
