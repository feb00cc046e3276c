"""Metrics that EarlyStopping and ModelCheckpoint can monitor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from lightning_dc.batch import SampleLoader
from lightning_dc.errors import InputError
from lightning_dc.training.evaluation import Evaluation
from lightning_dc.training.phase import Phase

LOSS = "train/loss"
"""Metric with the loss of whatever phase the run is in."""

_Monitoring = EarlyStopping | ModelCheckpoint


def loss_of(phase: Phase) -> str:
    """Return the name of the metric with the loss of one phase."""
    return f"loss/{phase.name}"


class Monitors(Callback):
    """Callback that lets EarlyStopping and ModelCheckpoint wait for metrics that come in a later phase.

    A metric that cannot come is refused before training. Every fit has this callback.
    """

    def __init__(self) -> None:
        self._waiting: list[_Monitoring] = []
        self._changed: list[tuple[_Monitoring, str, Any]] = []  # attributes that are given back when the fit is over

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        phases, evaluation = cast(Any, pl_module).phases, cast(Any, pl_module).evaluation
        known, may_be_others = _names(trainer, phases, evaluation), _may_log(trainer, pl_module)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if not isinstance(callback, _Monitoring) or callback.monitor is None:
                continue
            if isinstance(callback, ModelCheckpoint) and callback.monitor in ("epoch", "step"):
                continue
            if callback.monitor not in known and not may_be_others:
                raise InputError(_unknown(callback, known, evaluation))
            _check_loss(callback, phases)
            self._wait(callback, is_known=callback.monitor in known)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._waiting:
            self._go_on(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._go_on(trainer)
        for callback in self._waiting:  # which saves nothing meanwhile, not even its last.ckpt
            if isinstance(callback, ModelCheckpoint) and callback.save_last and callback.dirpath is not None:
                name = f"{callback.CHECKPOINT_NAME_LAST}{callback.FILE_EXTENSION}"
                callback.last_model_path = str(Path(callback.dirpath) / name)  # which it replaces later
                trainer.save_checkpoint(callback.last_model_path)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._go_on(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        for callback in self._waiting:
            outcome = "it has done nothing"
            if isinstance(callback, ModelCheckpoint):
                self._set(callback, "save_last", True)  # it acts after all other callbacks, and saves at the end
                outcome = "the last state is saved as last.ckpt"
            rank_zero_warn(
                f"{type(callback).__name__} monitors {callback.monitor!r}, which this run has never logged; {outcome}"
            )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._give_back()

    def _set(self, callback: _Monitoring, name: str, value: Any) -> None:
        self._changed.append((callback, name, getattr(callback, name)))
        setattr(callback, name, value)

    def _give_back(self) -> None:
        for callback, name, value in reversed(self._changed):
            setattr(callback, name, value)
        self._waiting, self._changed = [], []

    def _wait(self, callback: _Monitoring, *, is_known: bool) -> None:
        """Keep Lightning from refusing a metric that is not there yet."""
        if isinstance(callback, ModelCheckpoint):
            self._set(callback, "save_top_k", 0)
        elif is_known:
            self._set(callback, "strict", False)
        else:  # of other metrics the user's code decides
            return
        self._waiting.append(callback)

    def _go_on(self, trainer: pl.Trainer) -> None:
        """Let the callbacks act whose metrics are there."""
        for callback in [one for one in self._waiting if one.monitor in trainer.callback_metrics]:
            self._waiting.remove(callback)
            if isinstance(callback, ModelCheckpoint):
                callback.save_top_k = next(value for one, name, value in self._changed if one is callback)


def _names(trainer: pl.Trainer, phases: Sequence[Phase], evaluation: Evaluation) -> list[str]:
    """Return the names of all metrics that a run will log."""
    names = [LOSS, *map(loss_of, phases)]
    loaders = trainer.val_dataloaders
    if not trainer.enable_validation or (loaders is not None and sum(trainer.num_val_batches) == 0):
        return names
    labelled = not isinstance(loaders, SampleLoader) or loaders.read(0, 1).y is not None
    return [*names, *(f"val/{name}" for name in evaluation.names(labelled=labelled))]


def _check_loss(callback: _Monitoring, phases: Sequence[Phase]) -> None:
    """Check that a loss that is monitored can be compared over the run."""
    *earlier, last = phases
    own = [phase.name for phase in earlier if loss_of(phase) == callback.monitor]
    if own and isinstance(callback, EarlyStopping):
        raise InputError(
            f"EarlyStopping with monitor={callback.monitor!r} would end the whole run in phase {own[0]!r}; set "
            f"max_epochs of this phase instead, or monitor {loss_of(last)!r}"
        )
    if callback.monitor == LOSS and earlier:
        rank_zero_warn(
            f"{type(callback).__name__} monitors {LOSS!r}, which is another loss in each phase; monitor "
            f"{loss_of(last)!r} to compare the values of one phase"
        )


def _may_log(trainer: pl.Trainer, module: pl.LightningModule) -> bool:
    """Return whether a run has code that may log metrics that this project does not know."""
    objects = [module, *trainer.callbacks]  # type: ignore[attr-defined]
    foreign = [one for one in objects if type(one).__module__.partition(".")[0] not in ("lightning", "lightning_dc")]
    return len(foreign) > 0 or any(isinstance(one, LearningRateMonitor) for one in objects)


def _unknown(callback: _Monitoring, known: Sequence[str], evaluation: Evaluation) -> str:
    reason = ""
    if callback.monitor in [f"val/{name}" for name in evaluation.names(labelled=True)]:
        has_validation = any(name.startswith("val/") for name in known)
        reason = " without labels" if has_validation else " without held-out samples (data.val_fraction)"
    return (
        f"{type(callback).__name__} monitors {callback.monitor!r}, which this run does not log{reason}; choose from "
        f"{', '.join(known)}"
    )
