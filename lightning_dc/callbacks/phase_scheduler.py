"""Movement through the phases of a fit."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from lightning_dc.errors import InputError
from lightning_dc.training import ClusteringModule, clustering_module, final_assignment, training_loader


class PhaseScheduler(Callback):
    """Moves a method through its phases, with a fresh optimizer in each, and stops the trainer after the last.

    It asks "is the current phase over at this step?" when training starts (or resumes) and after every step, instead of
    counting events, so that a run that resumes from any checkpoint switches at the same step as one never interrupted.
    It also sets learning rate and momentum to what the phase's schedules say. It must come after the callbacks that
    end phases.

    When training has ended, the whole training set is assigned with the final model
    (:func:`~lightning_dc.training.final_assignment`), unless a report has done so already.
    """

    def __init__(self) -> None:
        self._clock = 0.0
        self._timed = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        n_samples, n_clusters = training_loader(module).n_samples, module.model.head.n_clusters
        if n_samples < n_clusters:
            raise InputError(f"n_clusters={n_clusters} is more than the {n_samples} samples; choose fewer clusters")
        if module.phases_over:
            rank_zero_info("All phases of this checkpoint are over: there is nothing left to train")
            trainer.should_stop = True
        self._clock, self._timed = time.perf_counter(), module.phase.name
        self._advance(module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        clustering_module(pl_module).set_rates()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._advance(clustering_module(pl_module))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        if module.state.assignments is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            final_assignment(module)

    def _advance(self, module: ClusteringModule) -> None:
        now = time.perf_counter()
        seconds = module.state.seconds
        seconds[self._timed] = seconds.get(self._timed, 0.0) + now - self._clock
        if not module.phases_over and module.progress.step >= module.progress.n_steps:
            module.begin_next_phase()
        self._clock, self._timed = now, module.phase.name
