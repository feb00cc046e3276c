"""Copy of the user's own data with the clusters in it."""

from __future__ import annotations

from os import fspath
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info

from lightning_dc.batch import Annotatable
from lightning_dc.errors import InputError
from lightning_dc.files import whole_path
from lightning_dc.reports.report import Report
from lightning_dc.training import ClusteringModule, FullAssignment

_FILES_OF_RUNS = ("config.yaml", "hparams.yaml", "metrics.csv")  # of the command line and of loggers


class AnnotatedCopy(Report):
    """Report that writes a copy of a table or of an ``.h5ad`` file with the clusters in it; the original stays.

    A table has the further columns ``cluster`` and, of soft clusters, ``confidence``. An ``.h5ad`` file has them in
    ``obs`` as ``cluster`` and ``cluster_confidence``, and the embedding in ``obsm`` as ``X_lightning_dc``. A name that
    is taken gets a number. Rows keep their order; those that are no training samples have no cluster.

    Args:
        file_name: name of the copy in the run's folder, with the ending of the original; None writes no copy.

    Raises:
        InputError: ``file_name`` has folders in it or another ending, or would replace the original or another file
            of the run, or the data have no such file.
    """

    def __init__(self, file_name: str | None = None) -> None:
        if file_name is not None and Path(file_name).name != file_name:
            raise InputError(
                f"annotated.file_name={file_name!r} must be a name without folders; the copy is in the run's folder"
            )
        self.file_name = file_name
        self.needs_tables = file_name is not None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or self.file_name is None:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        endings = data.annotated_endings() if isinstance(data, Annotatable) else ()
        if not endings:
            raise InputError(
                f"annotated.file_name={self.file_name!r} needs a table or cells (.h5ad) as data, but "
                f"{type(data).__name__} has none; leave it out, and take the clusters from summary.file_name"
            )
        if Path(self.file_name).suffix not in endings:
            raise InputError(
                f"annotated.file_name={self.file_name!r} must end in {' or '.join(endings)}, since the data are of "
                "that kind"
            )
        others = [report for report in trainer.callbacks if isinstance(report, Report) and report is not self]  # type: ignore[attr-defined]
        written = {*_FILES_OF_RUNS, *(name for report in others for name in report.file_names())}
        if self.file_name.casefold() in {str(Path(name)).casefold() for name in written}:
            raise InputError(
                f"annotated.file_name={self.file_name!r} would replace a file that the run writes itself; choose "
                "another name"
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = None if not isinstance(pl_module, ClusteringModule) else pl_module.run_folder
        if folder is None or self.file_name is None:
            return
        sources = getattr(trainer.datamodule, "source_files", {})  # type: ignore[attr-defined]
        path = (folder / self.file_name).resolve()
        if any(Path(fspath(source)).resolve() == path for source in sources.values()):
            raise InputError(
                f"annotated.file_name={self.file_name!r} would replace the data themselves; choose another name"
            )

    def applies(self, module: ClusteringModule) -> bool:
        return self.file_name is not None

    def write(self, module: ClusteringModule, final: FullAssignment, collected: None, folder: Path | None) -> None:
        data = module.trainer.datamodule  # type: ignore[attr-defined]
        if folder is None or self.file_name is None or not isinstance(data, Annotatable):
            return
        path = folder / self.file_name
        with whole_path(path) as file:
            data.write_annotated(file, path.suffix, final)
        rank_zero_info(f"The data with their clusters: {path}")
