"""Logging of losses, weights and learning rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.distributed import sum_, world
from lightning_dc.errors import InputError
from lightning_dc.training import ClusteringModule, check_finite_parameters, clustering_module, record
from lightning_dc.training.monitors import LOSS, loss_of


class LossLogger(Callback):
    """Callback that logs the loss, its terms and their weights, learning rate and phase.

    It does so every ``log_every_n_steps`` steps. In between, losses are summed on the device; then their mean since the
    last log, over all processes, goes directly to the loggers, because ``self.log`` takes a fifth of the step of a
    small model for each value. Other callbacks can monitor the loss: ``train/loss`` of whatever phase the run is in,
    and ``loss/PHASE`` of one phase. For them it is also set at the end of each epoch, as the mean of the epoch.

    Raises:
        InputError: the loss is no longer a finite number.
    """

    def __init__(self) -> None:
        self._phase_index = -1
        self._sums: dict[str, Tensor] = {}  # since the last log
        self._n_steps = 0
        self._epoch_loss: Tensor | None = None  # sum over the steps of the phase in this epoch
        self._n_epoch = 0
        self._of_step: list[Tensor] = []  # losses of the batches of a step that is not over, and begins anew on resume
        self._at_step = self._logged_at = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._sums, self._epoch_loss, self._of_step, self._phase_index = {}, None, [], -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._at_step = self._logged_at = trainer.global_step
        if self._epoch_loss is not None:  # of a checkpoint
            self._epoch_loss = self._epoch_loss.to(pl_module.device, clustering_module(pl_module).model.wide_dtype)

    def state_dict(self) -> dict[str, Any]:
        """Return the sum of the epoch, for its mean; with several processes it is that of the first."""
        loss = None if self._epoch_loss is None else float(self._epoch_loss)
        return {"phase_index": self._phase_index, "epoch_loss": loss, "n_epoch": self._n_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._phase_index, self._n_epoch, loss = (state_dict[name] for name in ("phase_index", "n_epoch", "epoch_loss"))
        self._epoch_loss = None if loss is None else torch.tensor(loss, dtype=torch.float64)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_loss = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        # Lightning divides the loss, but not its terms, by the number of batches that an optimizer step adds up.
        self._add(module, outputs | {"loss": outputs["loss"] * trainer.accumulate_grad_batches})
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        step, loss = module.global_step, None
        if interval > 0 and step % interval == 0 and step != self._logged_at:
            loss = self._log(module)
            self._logged_at = step
        if trainer.is_last_batch or module.progress.step >= module.progress.n_steps:
            loss = self._mean_of_epoch()  # callbacks that act at the end of an epoch need a new value in each
        if trainer.is_last_batch:  # a run that resumes from here does not call on_train_epoch_start
            self._epoch_loss = None
        if loss is not None:
            for name in (LOSS, loss_of(module.phase)):
                module.log(name, loss, on_step=True, on_epoch=False, logger=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._sums:  # check before a checkpoint replaces a good one
            self._check_finite(clustering_module(pl_module), self._means())
        check_finite_parameters(trainer, pl_module, clustering_module(pl_module).phase.name)

    def _add(self, module: ClusteringModule, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of a step to the sums, which begin anew with a phase."""
        if self._phase_index != module.state.phase_index:
            self._sums, self._epoch_loss = {}, None
            self._phase_index = module.state.phase_index
        if not self._sums:
            self._sums, self._n_steps = {name: torch.zeros_like(value) for name, value in losses.items()}, 0
        if self._epoch_loss is None:
            self._epoch_loss, self._n_epoch = torch.zeros_like(losses["loss"]), 0
        for name, value in losses.items():
            self._sums[name] += value
        self._n_steps += 1
        self._of_step.append(losses["loss"])
        if module.global_step != self._at_step:
            for loss in self._of_step:
                self._epoch_loss += loss
            self._n_epoch += len(self._of_step)
            self._of_step, self._at_step = [], module.global_step

    def _log(self, module: ClusteringModule) -> float:
        """Write the means since the last log to the loggers, and return that of the loss."""
        means = self._means()
        self._check_finite(module, means)
        values = {f"train/{name}": value for name, value in means.items()}
        values |= {f"weight/{name}": weight for name, weight in module.phase.loss_weights(module.progress).items()}
        values[loss_of(module.phase)] = means["loss"]
        values["train/lr"] = module.optimizer.param_groups[0]["lr"]
        values["phase"] = float(module.state.phase_index)
        record(module, values)
        self._sums = {}
        return means["loss"]

    def _mean_of_epoch(self) -> float:
        assert self._epoch_loss is not None
        return float(sum_(self._epoch_loss.clone())) / (self._n_epoch * world()[1])

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
