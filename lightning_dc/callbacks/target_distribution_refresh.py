"""The target distribution of DEC, kept up to date."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl

from lightning_dc.callbacks.assignment_refresh import AssignmentRefresh
from lightning_dc.functional import target_distribution
from lightning_dc.training import LARGE_TABLE, ClusteringModule, FullAssignment, TargetDistribution, clustering_module


class TargetDistributionRefresh(AssignmentRefresh):
    """Recomputes P from the soft assignments of the whole training set every n steps (DEC, section 3.1.2).

    The target is kept in the checkpoint, beside the assignments.

    Args:
        every_n_steps: optimizer steps between two refreshes.
        term: name of the loss term that needs the target; phases without it are left alone.
        keep_table: hold P for every sample (N x K numbers). False holds the cluster frequencies alone and computes the
            rows of P from current assignments. None holds it as long as it has at most 2^26 numbers.
        repair_empty: move the centroids of empty clusters.
    """

    def __init__(
        self, every_n_steps: int, term: str = "kl", keep_table: bool | None = None, repair_empty: bool = True
    ) -> None:
        super().__init__(every_n_steps, repair_empty=repair_empty)
        self.term = term
        self.keep_table = keep_table
        self._target: TargetDistribution | None = None

    def applies(self, module: ClusteringModule) -> bool:
        return self.term in module.phase.config.loss_weights

    def needs_q(self, module: ClusteringModule, n_samples: int) -> bool:
        if self.keep_table is None:
            return n_samples * module.head.n_clusters <= LARGE_TABLE
        return self.keep_table

    def take(self, module: ClusteringModule, full: FullAssignment) -> None:
        table = None if full.q is None else target_distribution(full.q, full.frequencies)
        self._target = module.target = TargetDistribution(full.frequencies, table)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._target = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        module = clustering_module(pl_module)
        if self._target is not None:
            table = self._target.table
            frequencies = self._target.frequencies.to(module.device)
            module.target = TargetDistribution(frequencies, None if table is None else table.to(module.device))

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"target": None if self._target is None else self._target._asdict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        target = state_dict["target"]
        self._target = None if target is None else TargetDistribution(**target)
