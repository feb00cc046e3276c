"""Progress bar of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.trainer.states import TrainerFn

from lightning_dc.errors import InputError
from lightning_dc.reports.displays import Display, display_for
from lightning_dc.reports.moment import Moment
from lightning_dc.reports.time_left import TimeLeft, steps_left
from lightning_dc.training import ClusteringModule, clustering_module
from lightning_dc.training.monitors import loss_of


class ClusteringProgressBar(ProgressBar):
    """One bar over the steps of all phases, with time, loss, share of changed labels, phase and epoch.

    The time is that of this session, and includes k-means and refreshes. A phase that ends early, because its labels
    have settled, shortens the bar. Messages stand on lines of their own above it. If the output goes to a file, there
    is a line at the end of an epoch instead, not more often than every ten seconds, and at the beginning and the end of
    each phase. ``validate``, ``test`` and ``predict`` have a bar over their batches, or a line at their end.

    Args:
        refresh_rate: smallest number of batches between two updates of the bar, which is updated four times a second at
            most; 0 shows nothing.

    Raises:
        InputError: ``refresh_rate`` is negative.
    """

    def __init__(self, refresh_rate: int = 1) -> None:
        super().__init__()
        if refresh_rate < 0:
            raise InputError(f"refresh_rate={refresh_rate} of the progress bar must not be negative; 0 shows nothing")
        self.refresh_rate = refresh_rate

        self._is_enabled = True
        self._display: Display | None = None  # None if nothing is to be shown
        self._start = self._due = 0.0  # times of the beginning and of the next update, seconds
        self._n_batches = self._shown_at = 0  # number of batches, in all and at the last update

        self._time_left = TimeLeft()
        self._phase_index = -1
        self._is_first_step = False  # of this session in this phase
        self._last_step = 0  # of the phase

        self._name = ""  # of a pass
        self._n_total: int | None = None  # batches of a pass

    def enable(self) -> None:
        self._is_enabled = True

    def disable(self) -> None:
        self._is_enabled = False
        self._close()

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return loss, share of changed labels, and what the user logs with ``prog_bar=True``."""
        module, items = clustering_module(pl_module), dict[str, Any]()
        loss = trainer.callback_metrics.get(loss_of(module.phase))
        if loss is not None:
            items["loss"] = float(loss)
        if module.state.assignments is not None and module.state.assignments.changed is not None:
            items["changed"] = f"{100 * module.state.assignments.changed:.3g}%"
        logged = super().get_metrics(trainer, pl_module)
        logged.pop("v_num", None)
        return items | logged

    # ---- fit -------------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._phase_index = -1
        self._time_left = TimeLeft()
        self._open(lambda: self._moment(clustering_module(pl_module), "fit"))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        module = clustering_module(pl_module)
        if self._display is None or module.state.phase_index == self._phase_index:
            return
        self._phase_index, self._is_first_step = module.state.phase_index, True
        self._last_step = module.global_step + module.progress.n_steps - module.progress.step
        self._time_left.begin_phase()
        # Shown before the method's callbacks act, since k-means may take long.
        self._show(self._moment(module, f"{module.phase.name} begins"))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._display is None:
            return
        self._n_batches += 1
        is_last = trainer.global_step >= self._last_step
        if not (is_last or self._is_first_step or self._is_due()):
            return
        module = clustering_module(pl_module)
        self._time_left.note(time.perf_counter(), module.global_step)
        step, n_steps = module.progress
        if is_last or (self._is_due() and (self._display.within_epochs or step % module.steps_per_epoch == 0)):
            epoch, n_epochs = (max(1, -(-n // module.steps_per_epoch)) for n in (step, n_steps))
            self._show(self._moment(module, f"{module.phase.name}, epoch {epoch}/{n_epochs}"))
        self._is_first_step = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._display is None:
            return
        module = clustering_module(pl_module)
        if module.has_clusters:  # which others compute now
            self._show(self._moment(module, "final pass"))
        self._display.end_with_next_message()

    def _moment(self, module: ClusteringModule, place: str) -> Moment:
        n_left, elapsed_s = steps_left(module), time.perf_counter() - self._start
        left_s = self._time_left.seconds(n_left, module.steps_per_epoch)
        metrics = self.get_metrics(module.trainer, module)
        figures = tuple(f"{name} {_short(value)}" for name, value in metrics.items())
        return Moment(module.global_step, module.global_step + n_left, place, figures, elapsed_s, left_s)

    # ---- validate, test and predict --------------------------------------------------------------------------------

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._open_pass("validate", trainer.num_val_batches)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._open_pass("test", trainer.num_test_batches)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._open_pass("predict", trainer.num_predict_batches)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._count_batch()

    def on_test_batch_end(self, *_: Any) -> None:
        self._count_batch()

    def on_predict_batch_end(self, *_: Any) -> None:
        self._count_batch()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._close_pass()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close_pass()

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close_pass()

    def _open_pass(self, name: str, n_batches: Sequence[float]) -> None:
        """Open the display of a pass over the batches of some data loaders, whose numbers may be infinite."""
        total = sum(n_batches)
        self._name, self._n_total = name, int(total) if math.isfinite(total) else None
        self._open(self._moment_of_pass)

    def _count_batch(self) -> None:
        self._n_batches += 1
        if self._display is not None and self._display.within_epochs and self._is_due():
            self._show(self._moment_of_pass())

    def _close_pass(self) -> None:
        if self._display is not None:
            self._show(self._moment_of_pass())
        self._close()

    def _moment_of_pass(self) -> Moment:
        elapsed_s = time.perf_counter() - self._start
        left_s = None
        if self._n_total is not None and self._n_batches > 0:
            left_s = elapsed_s / self._n_batches * (self._n_total - self._n_batches)
        return Moment(self._n_batches, self._n_total, self._name, (), elapsed_s, left_s)

    # ---- display ---------------------------------------------------------------------------------------------------

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._close()

    def _open(self, moment: Callable[[], Moment]) -> None:
        """Open a display, in the process that shows one, with a function that returns its first moment."""
        self._start, self._due, self._n_batches, self._shown_at = time.perf_counter(), 0.0, 0, 0
        if self._is_enabled and self.refresh_rate > 0:
            self._display = display_for(moment())

    def _show(self, moment: Moment) -> None:
        assert self._display is not None
        self._display.show(moment)
        self._due = time.perf_counter() + self._display.interval_s
        self._shown_at = self._n_batches

    def _is_due(self) -> bool:
        return time.perf_counter() >= self._due and self._n_batches >= self._shown_at + self.refresh_rate

    def _close(self) -> None:
        if self._display is not None:
            self._display.close()
        self._display = None


def _short(value: object) -> str:
    """Return a figure of few digits."""
    return f"{value:#.3g}" if isinstance(value, float) else str(value)
