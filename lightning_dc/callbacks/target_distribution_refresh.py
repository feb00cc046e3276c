"""Refresh of the target distribution of DEC."""

from __future__ import annotations

from typing import ClassVar

from lightning_dc.callbacks.assignment_refresh import AssignmentRefresh
from lightning_dc.functional import target_distribution
from lightning_dc.training import (
    LARGE_TABLE,
    ClusteringModule,
    FullAssignment,
    TargetDistribution,
    training_loader,
)


class TargetDistributionRefresh(AssignmentRefresh):
    """Callback that recomputes P from the soft assignments of the whole training set (DEC, section 3.1.2).

    P is computed with each refresh of the assignments in phases with a loss that reads ``p``, and kept beside them in
    the state of the run.

    Args:
        every_n_steps: optimizer steps between two refreshes; with both None, there is one at the beginning of a phase.
        every_n_epochs: epochs between two refreshes, instead of ``every_n_steps``.
        keep_table: True holds P for every sample (N x K numbers). False holds only the K cluster frequencies, and
            computes rows of P from them and the current assignments. None holds P if it has at most 2^26 numbers.
        repair_empty: whether the centroids of empty clusters are moved.
        restart_optimizer: whether the optimizer starts anew with each refresh.

    Raises:
        InputError: an interval is out of range.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"p"})

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        keep_table: bool | None = None,
        repair_empty: bool = True,
        restart_optimizer: bool = False,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, repair_empty, restart_optimizer)
        self.keep_table = keep_table

    def needs_q(self, module: ClusteringModule) -> bool:
        if "p" not in module.quantities_read:
            return False
        if self.keep_table is None:
            return training_loader(module).n_samples * module.model.head.n_clusters <= LARGE_TABLE
        return self.keep_table

    def on_refresh(self, module: ClusteringModule, full: FullAssignment) -> None:
        if "p" in module.quantities_read:
            table = None if full.q is None else target_distribution(full.q, full.frequencies)
            module.state.target_distribution = TargetDistribution(full.frequencies, table)
