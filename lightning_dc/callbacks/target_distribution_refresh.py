"""The target distribution of DEC, kept up to date."""

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
    """Recomputes P from the soft assignments of the whole training set every n steps or epochs (DEC, section 3.1.2).

    P is computed in phases with a loss that reads ``p``, and kept in the state of the run, beside the assignments.

    Args:
        every_n_steps: optimizer steps between two refreshes; None for those at the beginning of a phase only.
        every_n_epochs: the same in epochs.
        keep_table: hold P for every sample (N x K numbers). False holds the cluster frequencies alone and computes the
            rows of P from the current assignments. None holds it as long as it has at most 2^26 numbers.
        repair_empty: move the centroids of empty clusters.

    Raises:
        InputError: an interval out of range.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"p"})

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        keep_table: bool | None = None,
        repair_empty: bool = True,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, repair_empty)
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
