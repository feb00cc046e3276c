"""Base class of reports at the end of a fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_dc.distributed import failing_together
from lightning_dc.training import ClusteringModule, FinalReader, FullAssignment, clustering_module, final_assignment


class Report(FinalReader, ABC):
    """Base class of callbacks that write files, tables and figures at the end of a fit.

    A report reads the final assignment of the training set, which is computed once for all reports. There is no report
    if training has ended before there were clusters, or in a ``fast_dev_run``.
    """

    def applies(self, module: ClusteringModule) -> bool:
        """Return whether there is something to report; the same on all processes."""
        return True

    def file_names(self) -> Sequence[str]:
        """Return the names of the files that this report may write to the run's folder."""
        name = getattr(self, "file_name", None)
        return [] if name is None else [name]

    def collect(self, module: ClusteringModule, final: FullAssignment) -> Any:
        """Compute, on all processes together, what :meth:`write` needs beside the final assignment.

        Args:
            module: the trained method.
            final: assignments of the training set by the final model.
        """
        return None

    @abstractmethod
    def write(self, module: ClusteringModule, final: FullAssignment, collected: Any, folder: Path | None) -> None:
        """Write the report, on the first process alone.

        Args:
            module: the trained method.
            final: assignments of the training set by the final model.
            collected: result of :meth:`collect`.
            folder: folder of the run; None if its loggers have no folder.
        """

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        final = final_assignment(module) if self.applies(module) else None
        if final is None:
            return
        collected = self.collect(module, final)
        with failing_together():
            if trainer.is_global_zero:
                self.write(module, final, collected, module.run_folder)
