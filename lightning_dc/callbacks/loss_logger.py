"""Logging of losses, weights and learning rates."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.distributed import sum_, world
from lightning_dc.errors import InputError
from lightning_dc.training import ClusteringModule, check_finite_parameters, clustering_module, record


class LossLogger(Callback):
    """Callback that logs the loss, its terms and their weights, learning rate and phase.

    It does so every ``log_every_n_steps`` steps. In between, losses are summed on the device; then their mean since the
    last log, over all processes, goes directly to the loggers, because ``self.log`` takes a fifth of the step of a
    small model for each value. Only ``train/loss`` is also among the metrics that other callbacks can monitor.

    Raises:
        InputError: the loss is no longer a finite number.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._n_steps = 0
        self._logged_at = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._logged_at = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        if self._sums.keys() != outputs.keys():  # a phase with other terms has begun
            self._sums = {name: torch.zeros_like(value) for name, value in outputs.items()}
            self._n_steps = 0
        for name, value in outputs.items():
            # Lightning divides the loss, but not its terms, by the number of batches that an optimizer step adds up.
            self._sums[name] += value * (trainer.accumulate_grad_batches if name == "loss" else 1)
        self._n_steps += 1
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        step = module.global_step
        if interval > 0 and step % interval == 0 and step != self._logged_at:
            self._log(module)
            self._logged_at = step

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._sums:  # check before a checkpoint replaces a good one
            self._check_finite(clustering_module(pl_module), self._means())
        check_finite_parameters(trainer, pl_module, clustering_module(pl_module).phase.name)

    def _log(self, module: ClusteringModule) -> None:
        means = self._means()
        self._check_finite(module, means)
        values = {f"train/{name}": value for name, value in means.items()}
        values |= {f"weight/{name}": weight for name, weight in module.phase.loss_weights(module.progress).items()}
        values["train/lr"] = module.optimizer.param_groups[0]["lr"]
        values["phase"] = float(module.state.phase_index)
        record(module, values)
        module.log("train/loss", means["loss"], on_step=True, on_epoch=False, logger=False)
        self._sums = {}

    def _means(self) -> dict[str, float]:
        means = sum_(torch.stack([*self._sums.values()])) / (self._n_steps * world()[1])
        return dict(zip(self._sums, means.tolist(), strict=True))

    @staticmethod
    def _check_finite(module: ClusteringModule, means: dict[str, float]) -> None:
        if not all(math.isfinite(mean) for mean in means.values()):
            raise InputError(
                f"the loss of phase {module.phase.name!r} is {means['loss']} at step {module.global_step}; lower the "
                "learning rate of its optimizer, or look for huge values in the inputs"
            )
