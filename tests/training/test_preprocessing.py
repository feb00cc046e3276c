"""Samples that a model is applied to: preprocessed as those of training, and of their shape."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules import ArrayDataModule
from lightning_dc import DEC
from lightning_dc.errors import InputError
from lightning_dc.losses import Reconstruction
from lightning_dc.training import PhaseConfig
from tests.helpers.methods import RECONSTRUCTION, Blobs, dec, trainer

RAW = np.asarray(Blobs().load().x, dtype=np.float32)


def loader(x: Any) -> DataLoader[Any]:
    x = torch.as_tensor(x, dtype=torch.float32)
    return DataLoader([(x[i], torch.tensor(0), i) for i in range(len(x))], batch_size=50)  # type: ignore[arg-type]


class Plain(pl.LightningDataModule):
    """DataModule of the user's own, which does not preprocess."""

    def predict_dataloader(self) -> DataLoader[Any]:
        return loader(RAW)


@pytest.fixture
def checkpoint(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return the checkpoint of a fit on scaled samples."""
    scaling = getattr(request, "param", "standard")
    data = ArrayDataModule(RAW * (0.3 if scaling == "none" else 100), batch_size=50, scaling=scaling)
    run = trainer(tmp_path)
    run.fit(dec(), data)
    run.save_checkpoint(tmp_path / "scaled.ckpt")
    return tmp_path / "scaled.ckpt"


def labels(predicted: Any) -> Tensor:
    return torch.cat([batch["q"] for batch in predicted]).argmax(1)


def test_raw_arrays_are_scaled_by_a_datamodule_as_those_of_training(tmp_path: Path, checkpoint: Path) -> None:
    """As docs/data.md tells: a few rows alone have the clusters that they had among all."""
    model = DEC.load_from_checkpoint(checkpoint)
    everything = labels(trainer(tmp_path).predict(model, ArrayDataModule(RAW * 100)))
    few = labels(trainer(tmp_path).predict(DEC.load_from_checkpoint(checkpoint), ArrayDataModule(RAW[:7] * 100)))
    assert torch.equal(few, everything[:7])
    assert len(set(everything.tolist())) == 3


@pytest.mark.parametrize("stage", ["predict", "validate", "test"])
@pytest.mark.parametrize("loaded", [True, False])
def test_samples_of_a_plain_loader_are_taken_as_they_are_with_a_warning(
    tmp_path: Path, checkpoint: Path, stage: str, loaded: bool
) -> None:
    model, path = (DEC.load_from_checkpoint(checkpoint), None) if loaded else (dec(), checkpoint)
    with pytest.warns(UserWarning, match=r"DataLoader gives samples as they are.*learned scaling.*ArrayDataModule"):
        getattr(trainer(tmp_path), stage)(model, loader(RAW), ckpt_path=path, weights_only=True)


def test_a_datamodule_that_does_not_preprocess_is_told(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.warns(UserWarning, match="Plain gives samples as they are"):
        trainer(tmp_path).predict(DEC.load_from_checkpoint(checkpoint), Plain())


def test_a_fit_that_starts_from_a_network_of_scaled_samples_warns(tmp_path: Path, checkpoint: Path) -> None:
    model = dec()
    model.init_network(checkpoint)
    with pytest.warns(UserWarning, match="DataLoader gives samples as they are"):
        trainer(tmp_path).fit(model, loader(RAW))


@pytest.mark.parametrize("checkpoint", ["none"], indirect=True)
def test_there_is_no_warning_where_nothing_was_scaled(tmp_path: Path, checkpoint: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*gives samples as they are")
        trainer(tmp_path).predict(DEC.load_from_checkpoint(checkpoint), loader(RAW))
        model = dec()
        trainer(tmp_path).fit(model, loader(RAW * 0.3))
        trainer(tmp_path).predict(model, loader(RAW))


SHAPES = [(5,), (7,), (1, 6), (6, 1), ()]


@pytest.mark.parametrize("shape", SHAPES)
def test_samples_of_another_shape_are_refused_by_the_model(shape: tuple[int, ...]) -> None:
    model = dec()
    message = rf"samples of shape \({', '.join(map(str, shape))},?\), but input_shape of the model is \(6,\)"
    for function in (model, model.embed, model.model, model.model.embed, model.model.encode):
        with pytest.raises(InputError, match=message):
            function(torch.zeros(4, *shape))


@pytest.mark.parametrize("shape", SHAPES[:4])
@pytest.mark.parametrize("stage", ["fit", "layerwise", "predict", "validate"])
def test_samples_of_another_shape_are_refused_in_every_stage(
    tmp_path: Path, shape: tuple[int, ...], stage: str
) -> None:
    """Such samples would be broadcast against their reconstructions."""
    layerwise = PhaseConfig(max_epochs=int(stage == "layerwise"), loss_weights=RECONSTRUCTION)
    model = dec(layerwise=layerwise)
    torch.nn.init.normal_(model.model.head.centroids)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"but input_shape of the model is \(6,\)"):
        getattr(trainer(tmp_path), "fit" if stage == "layerwise" else stage)(model, loader(torch.zeros(20, *shape)))


@pytest.mark.parametrize("shape", [(4, 6, 1), (4, 5), (1, 6), (6,)])
def test_reconstructions_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"but x has shape \(4, 6\)"):
        Reconstruction()(x=torch.zeros(4, 6), x_hat=torch.zeros(shape))
