"""Batches of the same size."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn


class EvenBatches(Callback):
    """Callback that divides the training samples into batches of nearly the same size.

    Otherwise the last batch of an epoch may hold a few samples only. That harms losses and layers that take statistics
    of the batch: the sizes of the clusters in five samples say nothing, and a whole step follows them. It acts on
    DataModules with an attribute ``even_batches``, such as all of this project.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._set(trainer, stage, True)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._set(trainer, stage, False)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._set(trainer, TrainerFn.FITTING, False)

    def _set(self, trainer: pl.Trainer, stage: str, value: bool) -> None:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if stage == TrainerFn.FITTING and hasattr(datamodule, "even_batches"):
            datamodule.even_batches = value
