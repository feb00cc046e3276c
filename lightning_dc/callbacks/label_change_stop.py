"""End of a phase when the assignments have converged."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from lightning_dc.errors import InputError
from lightning_dc.training import ClusteringModule, clustering_module


class LabelChangeStop(Callback):
    """Callback that ends a phase when few labels have changed between two refreshes (DEC, section 3.1.2).

    All processes take the same decision, since their assignments are the same.

    Args:
        tolerance: the phase ends if less than this share of the labels has changed; the paper uses 0.001, and 0 never
            ends a phase.
        patience: number of consecutive refreshes with so few changes that end the phase.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, tolerance: float, patience: int = 1) -> None:
        if not (isinstance(tolerance, (int, float)) and 0.0 <= tolerance < 1.0):
            raise InputError(f"tolerance={tolerance} is a share of the labels and must lie in [0, 1)")
        if patience < 1:
            raise InputError(f"patience={patience} is a number of refreshes and must be at least 1")
        self.tolerance = tolerance
        self.patience = patience
        self._n_calm = 0
        self._seen = -1  # step of the last refresh that was counted

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._n_calm, self._seen = 0, -1

    def state_dict(self) -> dict[str, Any]:
        return {"n_calm": self._n_calm, "seen": self._seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._n_calm, self._seen = state_dict["n_calm"], state_dict["seen"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop_if_converged(clustering_module(pl_module))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stop_if_converged(clustering_module(pl_module))

    def _stop_if_converged(self, module: ClusteringModule) -> None:
        assignments = module.state.assignments
        if assignments is None or assignments.changed is None or module.phases_over:
            return
        # A resumed run must decide like an uninterrupted one, so only a refresh at this step of this phase counts.
        if assignments.step != module.global_step or module.progress.step == 0:
            return
        if self._seen != assignments.step:
            is_calm = assignments.changed < self.tolerance
            self._n_calm = self._n_calm + 1 if is_calm else 0
            self._seen = assignments.step
        if self._n_calm >= self.patience:
            self._n_calm = 0
            rank_zero_info(
                f"Phase {module.phase.name!r} has converged: {assignments.changed:.3%} of the labels changed "
                f"(tolerance {self.tolerance:.3%})"
            )
            module.begin_next_phase()
