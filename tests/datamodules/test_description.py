"""Printing a DataModule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from datamodules import (
    AnnDataModule,
    ArrayDataModule,
    BreastCancerDataModule,
    ClusteringDataModule,
    DigitsDataModule,
    ImageFolderDataModule,
    MNISTDataModule,
    ParquetDataModule,
    ReutersDataModule,
    Samples,
    SyntheticDataModule,
    TableDataModule,
    TextDataModule,
)
from lightning_dc.errors import InputError
from tests.helpers.fake_files import write_fake_table

NOWHERE: list[ClusteringDataModule] = [
    AnnDataModule("no.h5ad"),
    ArrayDataModule("no.npy"),
    BreastCancerDataModule(),
    DigitsDataModule(),
    ImageFolderDataModule("no"),
    MNISTDataModule("no", download=False),
    ParquetDataModule("no"),
    ReutersDataModule("no", download=False),
    SyntheticDataModule(),
    TableDataModule("no.csv"),
    TextDataModule("no"),
]


@pytest.mark.parametrize("data", NOWHERE, ids=lambda data: type(data).__name__)
def test_a_data_module_is_printed_before_anything_is_loaded(data: ClusteringDataModule) -> None:
    for text in (str(data), repr(data), f"{data}"):
        assert text.startswith(f"{type(data).__name__}(")
        assert "\n" not in text
    assert data._train is None
    assert "no" in str(data) or not data.source_files


def test_it_names_arguments_and_shapes(tmp_path: Path) -> None:
    data = TableDataModule(str(write_fake_table(tmp_path)), columns="gene_*", val_fraction=0.5, test_path="no.csv")
    expected = f"TableDataModule(path='{tmp_path / 'table.csv'}', test_path='no.csv', val_fraction=0.5)"
    assert str(data) == expected.replace(str(tmp_path / "table.csv") + "'", _short(str(tmp_path / "table.csv")))
    digits = DigitsDataModule(batch_size=64)
    assert str(digits) == "DigitsDataModule(batch_size=64)"
    digits.setup("fit")
    digits.train_dataloader()
    assert str(digits) == "DigitsDataModule(batch_size=64, samples: (1797, 1, 8, 8))"
    arrays = ArrayDataModule(np.zeros((3, 4)), y=torch.zeros(3))
    assert str(arrays) == "ArrayDataModule(x=<ndarray (3, 4)>, y=<Tensor (3,)>)"


def _short(path: str) -> str:
    shown = f"'{path}'"
    return (shown if len(shown) <= 60 else f"{shown[:60]}...").removeprefix("'")


class Awkward(ClusteringDataModule):
    """A user's class whose parts fail."""

    def __init__(self, path: str, value: Any = None, other: int = 1, *args: Any, **kwargs: Any) -> None:
        self.value = value
        if path == "early":
            raise InputError(f"{self} is half constructed")
        super().__init__()
        self.path = path

    @property
    def other(self) -> int:
        raise RuntimeError("a property that loads samples")

    def load(self) -> Samples:
        raise InputError(f"{self.path}: is no file of {self}")


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


def test_printing_hides_no_other_error() -> None:
    with pytest.raises(InputError, match=r"Awkward\(\) is half constructed"):
        Awkward("early")
    data = Awkward("x", Unprintable())
    assert str(data) == "Awkward(path='x', value=<Unprintable>)"
    with pytest.raises(InputError, match=r"x: is no file of Awkward\(path='x', value=<Unprintable>\)"):
        data.setup("fit")
    assert len(str(Awkward("x" * 1000))) < 100


def test_it_is_printed_during_a_run() -> None:
    printed = []

    class Look(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            printed.append(str(trainer.datamodule))  # type: ignore[attr-defined]

    trainer = pl.Trainer(logger=False, enable_progress_bar=False, accelerator="cpu", callbacks=[Look()])
    module = pl.LightningModule()
    module.validation_step = lambda *_: None  # type: ignore[method-assign]
    trainer.validate(module, DigitsDataModule(), verbose=False)
    assert printed == ["DigitsDataModule(samples: (1797, 1, 8, 8))"]
