"""Writing of predictions to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.distributed import collect_on_first, failing_together
from lightning_dc.reports.predictions import check_prediction_path, prediction_stream
from lightning_dc.training import clustering_module

_Outputs = dict[str, Tensor]


class PredictionWriter(Callback):
    """Callback that writes the predictions of every sample to a file, in the order of the index.

    The columns are index, cluster, confidence, soft assignments and embedding; a hard head, such as that of k-means,
    has neither confidence nor soft assignments. The first process writes batches as they come, one of each process at a
    time. Batches of a user's own loader are gathered in memory first.

    Args:
        path: file to write, ``.parquet``, ``.npz`` or ``.csv``.
        overwrite: whether an existing file is replaced.

    Raises:
        InputError: the file has another ending or exists, or its folder cannot be written.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = check_prediction_path(path, overwrite=overwrite)
        self._waiting: list[_Outputs] = []
        self._open = ExitStack()
        self._write: Callable[[_Outputs], None] | None = None
        self._n_written = 0

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._waiting, self._n_written = [], 0
        with failing_together():
            if trainer.is_global_zero:
                self._write = self._open.enter_context(self._stream(trainer, pl_module))

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: _Outputs,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        own = {name: value.cpu() for name, value in outputs.items()}
        if not isinstance(trainer.predict_dataloaders, SampleLoader):  # of unknown order
            self._waiting.append(own)
            return
        parts = collect_on_first(own)
        with failing_together():
            for part in parts:
                self._append(part)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        is_ordered = isinstance(trainer.predict_dataloaders, SampleLoader)
        parts = [] if is_ordered else [part for part in collect_on_first(_joined(self._waiting)) if part]
        with failing_together():
            if parts:
                together = _joined(parts)
                order = together["index"].argsort()
                self._append({name: column[order] for name, column in together.items()})
            self._open.close()
        self._write, self._waiting = None, []
        if trainer.is_global_zero:
            print(f"{self._n_written} predictions written to {self.path}")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._open.__exit__(type(exception), exception, exception.__traceback__)

    def _append(self, outputs: _Outputs) -> None:
        """Write predictions, on the first process; a process without samples in the last round has none."""
        if self._write is not None and len(outputs["index"]) > 0:
            self._write(outputs)
            self._n_written += len(outputs["index"])

    @contextmanager
    def _stream(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Iterator[Callable[[_Outputs], None]]:
        """Yield a function that writes the predictions of some samples."""
        loader = trainer.predict_dataloaders
        ids = loader.ids if isinstance(loader, SampleLoader) else None
        with prediction_stream(self.path, is_soft=clustering_module(pl_module).model.head.is_soft) as write:

            def write_named(outputs: _Outputs) -> None:
                index = outputs["index"]
                own_ids = None if ids is None else ids[index.numpy()]
                write(index, outputs["z"], outputs["q"], ids=own_ids)

            yield write_named


def _joined(parts: list[_Outputs]) -> _Outputs:
    if not parts:  # a process without a batch
        return {}
    return {name: torch.cat([part[name] for part in parts]) for name in ("index", "z", "q")}
