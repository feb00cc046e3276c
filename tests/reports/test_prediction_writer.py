"""Tests of files of predictions against the model."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datamodules import ArrayDataModule
from lightning_dc import DEC, MLPAutoencoder
from lightning_dc.reports import PredictionWriter

X = np.random.default_rng(0).normal(size=(2500, 4)).astype("f4")  # three batches


def predict(writer: PredictionWriter, data: Any, *others: pl.Callback) -> DEC:
    torch.manual_seed(0)
    model = DEC((4,), 3, functools.partial(MLPAutoencoder, hidden_dims=[5], latent_dim=2))
    torch.nn.init.normal_(model.model.head.centroids)  # as if it had been trained
    options: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", callbacks=[*others, writer], **options)
    if isinstance(data, DataLoader):
        trainer.predict(model, data, return_predictions=False)
    else:
        trainer.predict(model, datamodule=data, return_predictions=False)
    assert writer._waiting == []
    return model


def samples(kind: str) -> Any:
    """Return our DataModule, or a user's own loader in another order."""
    if kind == "module":
        return ArrayDataModule(X, scaling="none")
    rows = [(torch.from_numpy(X[i]), -1, i) for i in np.random.default_rng(1).permutation(len(X)).tolist()]
    return DataLoader(rows, batch_size=1000)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["module", "loader"])
@pytest.mark.parametrize("name", ["out.npz", "out.parquet", "out.csv"])
def test_all_samples_are_written_in_order(tmp_path: Path, name: str, kind: str) -> None:
    model = predict(PredictionWriter(tmp_path / name), samples(kind))
    with torch.no_grad():
        expected = model.embed(torch.from_numpy(X)).numpy()
    if name.endswith("npz"):
        with np.load(tmp_path / name) as arrays:
            index, z = arrays["index"], arrays["z"]
    elif name.endswith("csv"):
        whole = np.genfromtxt(tmp_path / name, delimiter=",", skip_header=1)
        index, z = whole[:, 0], whole[:, -2:]
    else:
        from pyarrow import parquet

        table = parquet.read_table(tmp_path / name)
        index, z = table["index"].to_numpy(), np.stack([table[f"z_{j}"].to_numpy() for j in range(2)], 1)
    np.testing.assert_array_equal(index, np.arange(len(X)))
    np.testing.assert_allclose(z, expected, rtol=1e-5, atol=1e-6)


class Failing(pl.Callback):
    """Callback that fails at the second batch."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_predict_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        if batch_idx == 1:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["out.npz", "out.parquet", "out.csv"])
def test_a_run_that_fails_leaves_no_file(tmp_path: Path, name: str, error: BaseException) -> None:
    with pytest.raises((RuntimeError, SystemExit, KeyboardInterrupt)):
        predict(PredictionWriter(tmp_path / name), ArrayDataModule(X), Failing(error))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kinds", list(itertools.product(["module", "loader"], repeat=2)))
def test_a_writer_serves_again_after_a_run_that_failed(tmp_path: Path, kinds: tuple[str, str]) -> None:
    writer = PredictionWriter(tmp_path / "out.npz")
    with pytest.raises(RuntimeError, match="out of memory"):
        predict(writer, samples(kinds[0]), Failing(RuntimeError("out of memory")))
    predict(writer, samples(kinds[1]))
    with np.load(tmp_path / "out.npz") as arrays:
        np.testing.assert_array_equal(arrays["index"], np.arange(len(X)))
