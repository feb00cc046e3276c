"""Predictions to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.batch import NamedSamples
from lightning_dc.callbacks.access import clustering_module
from lightning_dc.distributed import world
from lightning_dc.predictions import check_prediction_path, write_predictions


class PredictionWriter(Callback):
    """Writes index, cluster, confidence, soft assignments and embedding of every sample, in the order of the index.

    A hard head, that of k-means, has neither confidence nor soft assignments.

    Args:
        path: file to write, ``.parquet`` or ``.npz``.
        overwrite: replace an existing file.

    Raises:
        InputError: another ending, a file that exists, or a folder that can't be written.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = check_prediction_path(path, overwrite=overwrite)
        self._batches: list[dict[str, Tensor]] = []

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._batches.append({name: value.cpu() for name, value in outputs.items()})

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        parts: list[Any] = [self._batches]
        if world()[1] > 1:
            parts = [None] * world()[1]
            dist.all_gather_object(parts, self._batches)
        self._batches = []
        if trainer.is_global_zero:
            batches = [batch for part in parts for batch in part]
            columns = {name: torch.cat([batch[name] for batch in batches]) for name in ("index", "z", "q")}
            order = columns["index"].argsort()
            index, z, q = (column[order] for column in columns.values())
            soft = clustering_module(pl_module).head.is_soft
            loader = trainer.predict_dataloaders
            ids = loader.ids if isinstance(loader, NamedSamples) else None
            write_predictions(self.path, index, z, q, is_soft=soft, ids=None if ids is None else ids[index.numpy()])
            print(f"{len(order)} predictions written to {self.path}")
