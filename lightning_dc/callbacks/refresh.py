"""Base class of callbacks that act when a phase with clusters begins, and periodically in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from lightning_dc.errors import InputError
from lightning_dc.training import ClusteringModule, clustering_module, training_loader


class Refresh(Callback, ABC):
    """Base class of callbacks that compute something over the whole training set, when a phase begins and periodically.

    After every step, and when training starts or resumes, the callback checks whether a refresh is due at this step of
    this phase and has not been made. The step of the last refresh is kept in the checkpoint, so a resumed run makes the
    same refreshes as one that was never interrupted.

    Args:
        every_n_steps: optimizer steps between two refreshes; with both None, there is one at the beginning of a phase.
        every_n_epochs: epochs between two refreshes, instead of ``every_n_steps``.

    Attributes:
        provides: names of the quantities of a step that the callback computes, such as ``p``.
        acts_at_end: whether the computation is also made after the last step of a phase.

    Raises:
        InputError: both intervals are set, or one is below 1.
    """

    provides: ClassVar[frozenset[str]] = frozenset()
    acts_at_end: ClassVar[bool] = False

    def __init__(self, every_n_steps: int | None = None, every_n_epochs: int | None = None) -> None:
        if every_n_steps is not None and every_n_epochs is not None:
            raise InputError(
                f"every_n_steps={every_n_steps} and every_n_epochs={every_n_epochs} are both set; "
                "set one of them to None"
            )
        for name, value in (("every_n_steps", every_n_steps), ("every_n_epochs", every_n_epochs)):
            if value is not None and value < 1:
                raise InputError(f"{name}={value} between two refreshes must be at least 1")
        self.every_n_steps = every_n_steps
        self.every_n_epochs = every_n_epochs
        self._served: list[int] | None = None  # phase and step of the last refresh

    @abstractmethod
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        """Do the computation; ``is_first`` is True at the beginning of a phase."""

    def applies(self, module: ClusteringModule) -> bool:
        """Return whether the current phase needs the computation."""
        return module.phase.has_clusters

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._served = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        check_same_samples(module)
        self._refresh_if_due(module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._refresh_if_due(clustering_module(pl_module), at_beginning=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._refresh_if_due(clustering_module(pl_module))

    def state_dict(self) -> dict[str, Any]:
        return {"served": self._served}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._served = state_dict["served"]

    def _refresh_if_due(self, module: ClusteringModule, *, at_beginning: bool = False) -> None:
        """Refresh if that is due at the current step and has not been done.

        The refresh at the beginning of a phase waits for ``on_train_batch_start``, when all callbacks have finished the
        previous phase. All others follow their step at once, so that a phase can end before further training.
        """
        if module.phases_over or not self.applies(module):
            return
        step, n_steps = module.progress
        if at_beginning:
            due = step == 0
        else:
            due = (0 < step < n_steps and self._is_multiple(module, step)) or (self.acts_at_end and step == n_steps)
        now = [module.state.phase_index, module.global_step]
        if due and self._served != now:
            self.refresh(module, is_first=step == 0)
            self._served = now

    def _is_multiple(self, module: ClusteringModule, step: int) -> bool:
        if self.every_n_epochs is not None:
            return step % (self.every_n_epochs * module.steps_per_epoch) == 0
        return self.every_n_steps is not None and step % self.every_n_steps == 0


def check_same_samples(module: ClusteringModule) -> None:
    """Check that a run is resumed on as many samples as it began with.

    Raises:
        InputError: the number of samples has changed.
    """
    state, n_samples = module.state, training_loader(module).n_samples
    tables = [] if state.assignments is None else [state.assignments.labels]
    tables += [] if state.neighbours is None else [state.neighbours.numbers]
    if any(len(table) != n_samples for table in tables):
        raise InputError(
            f"ckpt_path names a run on {len(tables[0])} samples, but the training set has {n_samples}; resume "
            "on the data that it began with"
        )
