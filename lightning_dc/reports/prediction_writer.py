"""Writing of predictions to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.distributed import world
from lightning_dc.reports.predictions import check_prediction_path, prediction_stream
from lightning_dc.training import clustering_module


class PredictionWriter(Callback):
    """Callback that writes the predictions of every sample to a file, in the order of the index.

    The columns are index, cluster, confidence, soft assignments and embedding; a hard head, such as that of k-means,
    has neither confidence nor soft assignments. A single process writes batches as they come. Batches of several
    processes, or of a user's own loader, are gathered in memory first.

    Args:
        path: file to write, ``.parquet`` or ``.npz``.
        overwrite: whether an existing file is replaced.

    Raises:
        InputError: the file has another ending or exists, or its folder cannot be written.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = check_prediction_path(path, overwrite=overwrite)
        self._batches: list[dict[str, Tensor]] = []
        self._open = ExitStack()
        self._write: Callable[[Tensor, Tensor, Tensor], None] | None = None
        self._n_written = 0

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write, self._batches = None, []  # forget those of a run that has failed
        if world()[1] == 1 and isinstance(trainer.predict_dataloaders, SampleLoader):  # batches come in order
            self._write = self._open.enter_context(self._stream(trainer, pl_module))

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._write is None:
            self._batches.append({name: value.cpu() for name, value in outputs.items()})
        else:
            self._write(outputs["index"], outputs["z"], outputs["q"])

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._write is None:
            self._write_gathered(trainer, pl_module)
        self._open.close()
        self._write = None
        if trainer.is_global_zero:
            print(f"{self._n_written} predictions written to {self.path}")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._open.__exit__(type(exception), exception, exception.__traceback__)

    def _write_gathered(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the batches of all processes, or of a loader whose order is unknown."""
        parts: list[Any] = [self._batches]
        if world()[1] > 1:
            parts = [None] * world()[1]
            dist.all_gather_object(parts, self._batches)
        self._batches = []
        if trainer.is_global_zero:
            batches = [batch for part in parts for batch in part]
            columns = {name: torch.cat([batch[name] for batch in batches]) for name in ("index", "z", "q")}
            order = columns["index"].argsort()
            with self._stream(trainer, pl_module) as write:
                write(*(column[order] for column in columns.values()))

    @contextmanager
    def _stream(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> Iterator[Callable[[Tensor, Tensor, Tensor], None]]:
        """Open the file, and yield a function that writes index, embeddings and soft assignments of some samples."""
        loader = trainer.predict_dataloaders
        ids = loader.ids if isinstance(loader, SampleLoader) else None
        self._n_written = 0
        with prediction_stream(self.path, is_soft=clustering_module(pl_module).model.head.is_soft) as write:

            def write_named(index: Tensor, z: Tensor, q: Tensor) -> None:
                write(index, z, q, ids=None if ids is None else ids[index.cpu().numpy()])
                self._n_written += len(index)

            yield write_named
