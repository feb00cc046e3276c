"""Base class of reports whose results stand among those of the run's summary."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import lightning.pytorch as pl
from torch import Tensor

from lightning_dc.reports.closing_table import Rows
from lightning_dc.reports.report import Report
from lightning_dc.training import ClusteringModule, FullAssignment


class Contributor(Report):
    """Report that adds columns to the file of clusters, rows to the closing table, and sentences below it.

    :class:`~lightning_dc.reports.RunSummary` asks all contributors among the callbacks of its trainer, before or behind
    it. A contributor never ends a fit: what fails becomes a row of the table.
    """

    @abstractmethod
    def columns(self, module: ClusteringModule) -> Mapping[str, Tensor]:
        """Compute, on all processes together and before the final assignment, columns of the file of clusters.

        They come before the final assignment so that the file can be written in pieces.

        Args:
            module: the trained method.

        Returns:
            Columns by name, (N,) each, in main memory; none if they could not be computed.
        """

    def columns_of_rows(self, module: ClusteringModule, q: Tensor, z: Tensor) -> Mapping[str, Tensor]:
        """Return columns of the file that follow from the final assignments of some rows, once :meth:`columns` is made.

        It is called on the first process alone.

        Args:
            module: the trained method.
            q: soft assignments of the rows, (n, K).
            z: their embeddings, (n, D).

        Returns:
            Columns by name, (n,) each, the same names for all rows; none by default.
        """
        return {}

    @abstractmethod
    def contribution(self, module: ClusteringModule, final: FullAssignment) -> tuple[Rows, Sequence[str]]:
        """Compute, on all processes together, rows of the closing table and sentences below it.

        Args:
            module: the trained method.
            final: assignments of the training set by the final model.

        Returns:
            Rows and sentences, on the first process; other processes may return none.
        """


def contributors(trainer: pl.Trainer, module: ClusteringModule) -> list[Contributor]:
    """Return the contributors among the callbacks of a trainer that have something to report."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in callbacks if isinstance(callback, Contributor) and callback.applies(module)]
