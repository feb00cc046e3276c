"""The loader of a run's training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import lightning.pytorch as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_dc.batch import Batch, SampleLoader, as_batch, checked_index
from lightning_dc.distributed import world
from lightning_dc.errors import InputError


def training_loader(module: pl.LightningModule) -> SampleLoader:
    """Return the loader of the run's training data, whose samples can be read by their row numbers.

    Raises:
        InputError: the loader cannot be read by row numbers, or it cannot be shared between processes.
    """
    loader = module.trainer.train_dataloader
    if isinstance(loader, SampleLoader):
        return loader
    if not isinstance(loader, DataLoader) or not hasattr(loader.dataset, "__len__"):
        raise InputError(
            f"the training loader is a {type(loader).__name__}; give a ClusteringDataModule or a DataLoader over a "
            "data set with a length"
        )
    if world()[1] > 1:
        raise InputError(
            "a DataLoader can't be shared exactly between processes; use a ClusteringDataModule with strategy "
            f"'{type(module.trainer.strategy).__name__}', or one process"
        )
    return _DataLoaderReader(loader)


def take_samples(module: pl.LightningModule, numbers: Tensor) -> Tensor:
    """Return training samples by their numbers, (n,) to (n, *input_shape), on the device of the module."""
    return on_device(module, training_loader(module).take(numbers)).x


def on_device(module: pl.LightningModule, batch: Batch) -> Batch:
    """Return a batch on the device of a module, in the precision of the run."""
    moved = module.trainer.strategy.batch_to_device(batch, module.device)
    return module.trainer.precision_plugin.convert_input(moved)  # type: ignore[no-any-return]


class _DataLoaderReader:
    """Reader of the data set of a user's DataLoader, by ranges of rows or by row numbers."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        self.n_samples = len(cast(Any, loader.dataset))
        self.source_rows = torch.arange(self.n_samples)
        self.ids: NDArray[Any] | None = None

    def read(self, start: int, stop: int) -> Batch:
        return self._read(self.source_rows[start:stop])

    def take(self, index: Tensor) -> Batch:
        if len(index) == 0:  # a collate_fn does not accept an empty list
            batch = self.read(0, 1)
            y, targets = (None if part is None else part[:0] for part in (batch.y, batch.targets))
            return Batch(batch.x[:0], y, batch.index[:0], targets=targets)
        return self._read(checked_index(index, self.n_samples).cpu())

    def unscale(self, x: Tensor) -> Tensor:
        return x.double()  # this loader does not scale

    def _read(self, index: Tensor) -> Batch:
        batch = as_batch(self._loader.collate_fn([self._loader.dataset[i] for i in index.tolist()]))
        if not torch.equal(batch.index.cpu(), index):
            raise InputError("index of a sample must be its place in the data set, 0 to N - 1; return it as given")
        return batch

    def __iter__(self) -> Iterator[Batch]:
        return map(as_batch, self._loader)

    def __len__(self) -> int:
        return len(self._loader)
