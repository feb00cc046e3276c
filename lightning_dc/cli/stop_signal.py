"""The end of a fit by a signal: a checkpoint, a status that is not 0, and a line that says how to go on."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from lightning_dc.cli.claim import RunTrainer

_GRACE_S = 4.0  # for the present step


class StopSignal(Checkpoint):
    """Callback that ends a fit on SIGTERM and Ctrl-C after the present step, within seconds.

    The first process writes a checkpoint at the end of its step, without waiting for the others, ends those that it has
    started, and exits with status 128 + the number of the signal. If the step takes longer than four seconds, or after
    a second signal, it ends at once, and the checkpoint of the last epoch remains. Signals of SLURM, which requeues
    jobs, are left to Lightning.

    Lightning calls a callback of the type ``Checkpoint`` after all others, so the checkpoint is that of a whole step.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._trainer: pl.Trainer | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        environment = trainer._accelerator_connector.cluster_environment
        if isinstance(environment, SLURMEnvironment) or threading.current_thread() is not threading.main_thread():
            return
        self._trainer, self._number = trainer, None
        # With several processes, Lightning asks the first one at every step whether it was told to stop, and waits for
        # the device each time. Here no process is told by others.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
        for number in (signal.SIGTERM, signal.SIGINT):  # Lightning puts its own handlers back when the fit is over
            signal.signal(number, self._notice)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if self._number is not None and trainer.is_global_zero:
            self._save(trainer)
            self._end()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trainer = None
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) == self._notice:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    def _notice(self, number: int, frame: Any) -> None:
        if self._number is not None:
            self._end()
        self._number = number
        timer = threading.Timer(_GRACE_S, self._end)
        timer.daemon = True
        timer.start()

    @staticmethod
    def _save(trainer: pl.Trainer) -> None:
        """Write the checkpoint from this process alone: the others may be gone, or wait in a collective."""
        path = _checkpoint_path(trainer)
        if path is not None:
            checkpoint = trainer._checkpoint_connector.dump_checkpoint(False)
            trainer.strategy.checkpoint_io.save_checkpoint(checkpoint, path)

    def _end(self) -> NoReturn:
        assert self._number is not None
        assert self._trainer is not None
        trainer, launcher = self._trainer, self._trainer.strategy.launcher
        if trainer.progress_bar_callback is not None:
            trainer.progress_bar_callback.disable()  # nothing follows the message
        if trainer.is_global_zero:
            path, name = _checkpoint_path(trainer), signal.Signals(self._number).name
            way = f"; go on with --ckpt_path {path}" if path is not None and path.is_file() else ""
            sys.stderr.write(f"\nlightning-dc: stopped by {name} at step {trainer.global_step}{way}\n")
        if isinstance(launcher, _SubprocessScriptLauncher):
            launcher.kill(signal.SIGKILL)
        if isinstance(trainer, RunTrainer) and trainer.claim is not None:
            trainer.claim.clear()  # the folder of a run that has not trained a batch
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + self._number)  # teardown would wait for processes that are gone


def _checkpoint_path(trainer: pl.Trainer) -> Path | None:
    """Return the file of the last checkpoint; None for a fit that writes none."""
    callback = trainer.checkpoint_callback
    if not isinstance(callback, ModelCheckpoint) or callback.dirpath is None:
        return None
    return Path(callback.last_model_path or Path(callback.dirpath) / "last.ckpt")
