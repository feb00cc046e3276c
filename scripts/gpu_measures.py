"""The parts of ``gpu_check.py`` that measure speed."""

from __future__ import annotations

import functools
import json
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from benchmark_kmeans import CELLS, ITERATIONS, Cell, fits_of_fastkmeans, inertia, samples, start_rows
from common import DATA_VARIABLE, flags
from gpu_checks import Result
from gpu_fits import Fit, run_fit
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn import functional

from datamodules import ArrayDataModule
from lightning_dc import DEC, Autoencoder, ClusteringModule, PhaseConfig, RefreshConfig
from lightning_dc.training import clustering_module

PAPER = 0.843
"""Accuracy of DEC on MNIST in the paper."""

MNIST: dict[str, dict[str, object]] = {
    "as shipped": {},
    "batches of 2,048": {
        "trainer.precision": "32-true",
        "data.batch_size": 2048,
        "model.pretraining.optimizer.lr": 0.004,
        "model.clustering.optimizer.lr": 0.4,
        "model.refresh.every_n_steps": 17,
    },
}
"""Options of the fits on MNIST beside those of ``dec_mnist``."""

LARGE_CELLS = {"large": Cell(5_000_000, 64, 1000, 1, 2000, 1.0), "wide pixels": Cell(1_000_000, 512, 256, 1, 400, 0.5)}
"""Problems for a GPU, beside those of ``benchmark_kmeans.py``."""


def measure_speed(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Compare the seconds of a step with those of a bare loop, in turns, with data on the device."""
    n_samples, batch_size, n_epochs = (2_000, 256, 2) if args.small else (70_000, 256, 2)
    x = torch.rand(n_samples, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    rows: dict[str, list[float]] = {"bare": [], "framework": []}
    for _ in range(2 if args.small else 3):
        rows["bare"] += _bare_seconds(x, batch_size, n_epochs, device)
        rows["framework"] += _framework_seconds(x, batch_size, n_epochs, device)
    bare, framework = (statistics.median(rows[name]) for name in ("bare", "framework"))
    ratio = bare / framework
    faults = [f"{ratio:.2f} of the bare loop's steps a second"] if ratio < 0.9 and device.type == "cuda" else []
    summary = f"{bare * 1e3:.3f} ms bare, {framework * 1e3:.3f} ms framework, {ratio:.2f} of its steps a second"
    return {"faults": faults, "step_seconds": rows, "summary": summary}


def measure_mnist(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Run ``dec_mnist`` from the start of a process, and return when it reached the accuracy of the paper."""
    if args.data is None:
        return {"faults": [f"no data: give --data or set {DATA_VARIABLE}"], "summary": "no data"}
    runs: dict[str, Any] = {}
    for name, options in MNIST.items():
        try:
            runs[name] = _run_mnist(args, device, scratch / name, options)
        except subprocess.CalledProcessError as error:
            runs[name] = {"error": error.stdout[-4000:]}
        print(name, json.dumps({key: runs[name].get(key) for key in ("phases", "accuracies", "end")}), flush=True)
    faults, summary = [], []
    for name, run in runs.items():
        best = max((accuracy for *_, accuracy in run.get("accuracies", [])), default=0.0)
        reached = next((at for at, _, accuracy in run.get("accuracies", []) if accuracy >= PAPER), None)
        if "error" in run or (reached is None and not args.small):
            faults.append(f"{name}: best accuracy {best:.4f}")
        shown = "not reached" if reached is None else f"{reached:.1f} s"
        summary.append(f"{name}: ACC {PAPER} {shown}, best {best:.4f}, end {run.get('end', 0):.1f} s")
    return {"faults": faults, "runs": runs, "summary": "; ".join(summary)}


def _run_mnist(args: Namespace, device: torch.device, folder: Path, options: dict[str, object]) -> Result:
    """Run a fit in a process of its own, and return the times and accuracies that it has written."""
    folder.mkdir()
    record = folder / "times.json"
    options = {
        **options,
        "data.folder": args.data / "mnist",
        "data.download": False,
        "data.keep_on_device": True,
        "trainer.accelerator": device.type,
        "trainer.logger.init_args.save_dir": folder,
        "trainer.callbacks+": "gpu_fits.Times",
        "trainer.callbacks.path": record,
    }
    if args.small:
        options |= {"trainer.limit_train_batches": 2, "model.refresh.every_n_steps": 1}
        options |= {f"model.{phase}.max_epochs": 1 for phase in ("layerwise", "pretraining", "clustering")}
    command = [sys.executable, "-m", "lightning_dc", "fit", "--config", "dec_mnist", *flags(options)]
    command.append(f"--trainer.callbacks.began_at={time.time()}")
    here = Path(__file__).parent
    run = subprocess.run(command, cwd=here, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    figures: Result = json.loads(record.read_text())
    return figures | {"table": run.stdout[-2500:]}


def measure_kmeans(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Compare seconds and inertia of Lloyd's iterations from given centroids, and measure the seeding."""
    cells = {"tiny": Cell(5_000, 8, 5, 2, 10, 1.0)} if args.small else {**CELLS, **LARGE_CELLS}
    rows: dict[str, Any] = {name: {} for name in cells}
    for contender, prepare in KMEANS.items():  # ours first, since a peer may leave the device in an unusable state
        for name, cell in cells.items():
            try:
                rows[name][contender] = _solve(prepare, cell, device)
            except ImportError:
                break
            except Exception as error:  # a peer's failure is a result, too
                rows[name][contender] = {"error": f"{type(error).__name__}: {error}"[:200]}
            print(name, contender, json.dumps(rows[name][contender]), flush=True)
    ours = {name: rows[name]["lightning_dc"] for name in rows}
    faults = [f"{name}: {result['error']}" for name, result in ours.items() if "error" in result]
    summary = ", ".join(f"{name} {result.get('seconds', 0):.3f} s" for name, result in ours.items())
    return {"faults": faults, "cells": rows, "summary": summary}


def measure_profile(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Profile 30 steps of each phase of DEC on data of MNIST's shape, and return the tables."""
    from torch.profiler import ProfilerActivity, profile

    x = torch.rand(2_000 if args.small else 20_000, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    tables: dict[str, Any] = {}
    for phase in ("pretraining", "clustering"):
        window = Profiled(profile(activities=activities), phase, n_steps=5 if args.small else 30)
        _fit_mnist(x, 256, 2, device, window)
        averages = window.profiler.key_averages()
        keys = ["self_cpu_time_total", *(["self_cuda_time_total"] if device.type == "cuda" else [])]
        tables[phase] = {key: averages.table(sort_by=key, row_limit=25, max_name_column_width=60) for key in keys}
    return {"faults": [], "tables": tables, "summary": "see the file"}


# ---- steps ---------------------------------------------------------------------------------------------------------


class StepSeconds(Callback):
    """Callback that measures the mean seconds of a step in each epoch, from the end of its first step to its last."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begin = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self._begin = _now(pl_module.device)
        elif batch_idx == trainer.num_training_batches - 1:
            self.seconds.append((_now(pl_module.device) - self._begin) / batch_idx)


class Profiled(Callback):
    """Callback that profiles some steps of a phase, after ten steps of it."""

    def __init__(self, profiler: Any, phase: str, n_steps: int) -> None:
        self.profiler = profiler
        self._phase = phase
        self._n_steps = n_steps

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        step = module.progress[0]
        if module.phases_over or module.phase.name != self._phase:
            return
        if step == 10:
            _now(module.device)
            self.profiler.__enter__()
        elif step == 10 + self._n_steps:
            _now(module.device)
            self.profiler.__exit__(None, None, None)


def _fit_mnist(x: Tensor, batch_size: int, n_epochs: int, device: torch.device, *callbacks: Callback) -> None:
    """Run DEC on images, with the data on the device."""

    def model() -> ClusteringModule:
        return DEC(
            x.shape[1:],
            10,
            pretraining=PhaseConfig(max_epochs=n_epochs, loss_weights={"reconstruction": 1.0}),
            clustering=PhaseConfig(max_epochs=n_epochs, loss_weights={"kl": 1.0}),
            refresh=RefreshConfig(every_n_epochs=n_epochs),
        )

    def data() -> ArrayDataModule:
        return ArrayDataModule(x, batch_size=batch_size, keep_on_device=True)

    run_fit(Fit(model, data), device, callbacks=callbacks, log_every_n_steps=50)


def _framework_seconds(x: Tensor, batch_size: int, n_epochs: int, device: torch.device) -> list[float]:
    """Return the mean seconds of a pretraining step in each epoch."""
    seconds = StepSeconds()
    _fit_mnist(x, batch_size, n_epochs, device, seconds)
    return seconds.seconds[:n_epochs]


def _bare_seconds(x: Tensor, batch_size: int, n_epochs: int, device: torch.device) -> list[float]:
    """Return the mean seconds of the same steps in a bare loop in each epoch."""
    model = DEC(x.shape[1:], 10).to(device)
    network = model.model.network
    assert isinstance(network, Autoencoder)
    optimizer = torch.optim.Adam([*network.encoder.parameters(), *network.decoder.parameters()])
    on_device, seconds = x.to(device), []
    n_steps = -(-len(x) // batch_size)
    for epoch in range(n_epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch)).to(device)
        for step in range(n_steps):
            batch = on_device.index_select(0, order[step * batch_size : (step + 1) * batch_size])
            loss = functional.mse_loss(network.decode(network.encode(batch)), batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step == 0:
                begin = _now(device)
        seconds.append((_now(device) - begin) / (n_steps - 1))
    return seconds


def _now(device: torch.device) -> float:
    """Return the time in seconds after all work on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


# ---- k-means -------------------------------------------------------------------------------------------------------

Run = Callable[[], list[Tensor] | None]


def _timed(run: Run, device: torch.device) -> float:
    begin = _now(device)
    run()
    return _now(device) - begin


@functools.cache
def _samples(cell: Cell) -> Tensor:
    return samples(cell)


def _solve(prepare: Callable[[Cell, Tensor, Tensor], Run], cell: Cell, device: torch.device) -> Result:
    """Return seconds and inertia of a contender on a problem."""
    x = _samples(cell).to(device)
    starts = torch.stack([start_rows(cell, restart) for restart in range(cell.n_restarts)]).to(device)
    run = prepare(cell, x, starts)
    centroids = run()
    seconds = min(_timed(run, device) for _ in range(3))
    return {"seconds": seconds, "inertia": None if centroids is None else min(inertia(x, each) for each in centroids)}


def _ours(cell: Cell, x: Tensor, starts: Tensor) -> Run:
    from lightning_dc.kmeans import kmeans

    return lambda: [kmeans(x, cell.n_clusters, init=x[starts], max_iter=ITERATIONS, tol=0.0).centroids]


def _seeding(cell: Cell, x: Tensor, starts: Tensor) -> Run:
    from lightning_dc.kmeans import kmeans_plusplus

    def run() -> None:
        kmeans_plusplus(x, cell.n_clusters, n_init=cell.n_restarts)

    return run


def _flash(cell: Cell, x: Tensor, starts: Tensor) -> Run:
    from flash_kmeans import batch_kmeans_Euclid

    def run() -> list[Tensor]:
        found = []
        for rows in starts:
            init = x[rows][None]
            _, centroids, *_ = batch_kmeans_Euclid(x[None], cell.n_clusters, ITERATIONS, tol=0.0, init_centroids=init)
            found.append(centroids[0])
        return found

    return run


def _fastkmeans(cell: Cell, x: Tensor, starts: Tensor) -> Run:
    is_wide = cell.n_features >= 16  # its Triton kernel fails with fewer
    fit = fits_of_fastkmeans(cell, x, device=x.device.type, use_triton=x.device.type == "cuda" and is_wide)
    return lambda: [centroids.to(x.device) for centroids in fit()]


KMEANS: dict[str, Callable[[Cell, Tensor, Tensor], Run]] = {
    "lightning_dc": _ours,
    "seeding of lightning_dc": _seeding,
    "flash-kmeans": _flash,
    "fastkmeans": _fastkmeans,
}
