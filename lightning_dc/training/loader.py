"""The loader of a run's training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch.utils.data import DataLoader

from lightning_dc.batch import Batch, SampleLoader, as_batch
from lightning_dc.distributed import world
from lightning_dc.errors import InputError
from lightning_dc.training.module import ClusteringModule


def training_loader(module: ClusteringModule) -> SampleLoader:
    """The loader of the run's training data, as one that can be read in index order.

    Raises:
        InputError: it cannot be, or it can't be shared between processes.
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


class _DataLoaderReader:
    """Reads the data set of a user's DataLoader in index order."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        self.n_samples = len(cast(Any, loader.dataset))
        self.sample_ids = torch.arange(self.n_samples)

    def read(self, start: int, stop: int) -> Batch:
        samples = [self._loader.dataset[i] for i in range(start, min(stop, self.n_samples))]
        batch = as_batch(self._loader.collate_fn(samples))
        if not torch.equal(batch.index.cpu(), self.sample_ids[start:stop]):
            raise InputError("index of a sample must be its place in the data set, 0 to N - 1; return it as given")
        return batch

    def __iter__(self) -> Iterator[Batch]:
        return map(as_batch, self._loader)

    def __len__(self) -> int:
        return len(self._loader)
