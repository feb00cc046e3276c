"""Transitions between the phases of a fit."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_dc.batch import SampleLoader
from lightning_dc.distributed import sum_, world
from lightning_dc.errors import InputError
from lightning_dc.training import ClusteringModule, clustering_module, final_assignment, training_loader

_FEWEST_ROWS = 64  # that are read at a time


class PhaseScheduler(Callback):
    """Callback that moves a method through its phases, with a new optimizer in each, and then stops the trainer.

    When training starts or resumes, and after every step, it checks whether the current phase is over at this step. It
    does not count events, so a run that resumes from any checkpoint changes phases at the same steps as a run that was
    never interrupted. It also sets learning rate and momentum by the schedules of the phase. It must come after the
    callbacks that end phases.

    A phase with a :class:`~lightning_dc.Plateau` is over, too, when its loss has settled. Losses are added up before a
    callback can save a checkpoint of their step. Processes exchange them at every step, since the first process must be
    able to save the sum without the others when it is told to stop.

    When training has ended, it assigns the whole training set with the final model
    (:func:`~lightning_dc.training.final_assignment`), unless a report has already done so.
    """

    def __init__(self) -> None:
        self._clock = 0.0
        self._timed = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        _check_n_clusters(module, training_loader(module))
        if module.phases_over:
            rank_zero_info("All phases of this checkpoint are over: there is nothing left to train")
            trainer.should_stop = True
        self._clock, self._timed = time.perf_counter(), module.phase.name
        self._begin_next_phase_if_over(module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        clustering_module(pl_module).set_rates()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        module = clustering_module(pl_module)
        if module.phase.config.plateau is not None:
            loss = torch.stack(module.step_losses).double().mean() / world()[1]
            module.state.loss_window = module.state.loss_window.add(sum_(loss))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._begin_next_phase_if_over(clustering_module(pl_module))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        if final_assignment(module) is None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            rank_zero_warn(
                f"Training has ended in phase {module.phase.name!r}, before there were clusters; raise max_epochs, "
                "max_steps or max_time of the Trainer (-1 leaves the end to the phases), or go on from a checkpoint"
            )

    def _begin_next_phase_if_over(self, module: ClusteringModule) -> None:
        """Add the elapsed seconds to the current phase, and begin the next one if it is over."""
        now = time.perf_counter()
        seconds = module.state.seconds
        seconds[self._timed] = seconds.get(self._timed, 0.0) + now - self._clock
        if not module.phases_over and (module.progress.step >= module.progress.n_steps or _has_settled(module)):
            module.begin_next_phase()
        self._clock, self._timed = now, module.phase.name


def _has_settled(module: ClusteringModule) -> bool:
    """Return whether a plateau rule ends the phase at this step; a window that is over gives way to the next one."""
    rule, window = module.phase.config.plateau, module.state.loss_window
    if rule is None or window.n_steps < rule.window:
        return False
    module.state.loss_window = window.end(rule)
    best, n_calm = module.state.loss_window.best, module.state.loss_window.n_calm
    if n_calm < rule.patience:
        return False
    rank_zero_info(
        f"Phase {module.phase.name!r} has settled after {module.progress.step} steps: in the last "
        f"{n_calm * rule.window} its loss was nowhere {100 * rule.tolerance:g}% below {best:.4g}, the best mean over "
        f"{rule.window} steps"
    )
    return True


def _check_n_clusters(module: ClusteringModule, loader: SampleLoader) -> None:
    """Check that there are as many different samples as clusters; usually the first few rows tell.

    Raises:
        InputError: there are fewer, or the samples do not have the shape of the model.
    """
    n_clusters = module.model.head.n_clusters
    if loader.n_samples < n_clusters:
        raise InputError(f"n_clusters={n_clusters} is more than the {loader.n_samples} samples; choose fewer clusters")
    different: set[bytes] = set()
    n_rows = max(2 * n_clusters, _FEWEST_ROWS)
    for start in range(0, loader.n_samples, n_rows):
        x = loader.read(start, min(start + n_rows, loader.n_samples)).x
        module.model.check_samples(x)
        rows = x.flatten(1).cpu().double().numpy()
        different.update(hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows)
        if len(different) >= n_clusters:
            return
    raise InputError(
        f"n_clusters={n_clusters} is more than the {len(different)} different samples, since the others are equal to "
        "one of them; choose fewer clusters"
    )
