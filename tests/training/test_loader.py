"""Samples of a user's own DataLoader by number."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_dc import InputError
from lightning_dc.batch import SampleLoader
from lightning_dc.training import training_loader
from tests.helpers.methods import Blobs, dec, trainer

X, Y, *_ = Blobs().train_dataloader().read(0, 150)


def reader(tmp_path: Path) -> SampleLoader:
    """The loader of a fit whose own DataLoader shuffles."""
    model = dec()
    loader = DataLoader(TensorDataset(X, Y, torch.arange(150)), batch_size=40, shuffle=True)  # type: ignore[arg-type]
    trainer(tmp_path, max_steps=1).fit(model, loader)
    return training_loader(model)


def test_samples_are_taken_by_their_place(tmp_path: Path) -> None:
    loader = reader(tmp_path)
    index = torch.tensor([149, 3, 3, 70])
    batch = loader.take(index)
    assert torch.equal(batch.index, index)
    assert torch.equal(batch.x, X[index])
    assert batch.y is not None
    assert torch.equal(batch.y, Y[index])  # type: ignore[index]
    assert torch.equal(loader.read(10, 20).x, X[10:20])
    assert loader.take(index[:0]).x.shape == (0, 6)
    assert loader.ids is None
    assert torch.equal(loader.source_rows, torch.arange(150))


def test_a_place_beyond_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="150"):
        reader(tmp_path).take(torch.tensor([2, 150]))
