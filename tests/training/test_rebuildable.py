"""Checkpoints of subclasses rebuild them, however their constructors pass arguments on."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_dc import DEC, KMeansConfig, MLPAutoencoder, PhaseConfig, RefreshConfig
from tests.helpers.methods import Blobs, trainer, weights

ARGUMENTS: dict[str, Any] = {
    "input_shape": (6,),
    "n_clusters": 3,
    "autoencoder": functools.partial(MLPAutoencoder, hidden_dims=[4], latent_dim=2),
    "pretraining": PhaseConfig(max_steps=1, loss_weights={"reconstruction": 1.0}),
    "clustering": PhaseConfig(max_steps=2, loss_weights={"kl": 1.0}),
    "kmeans": KMeansConfig(n_init=1),
}


class Named(DEC):
    def __init__(self, extra: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extra = extra


class Passing(DEC):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Mixin:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Mixed(Mixin, DEC):
    """Whose constructor is that of the mixin."""


class Fixed(DEC):
    def __init__(self, input_shape: tuple[int, ...], n_init: int = 2) -> None:
        super().__init__(**{**ARGUMENTS, "input_shape": input_shape, "kmeans": KMeansConfig(n_init)})


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (Named, {**ARGUMENTS, "extra": 5}),
        (Named, ARGUMENTS),
        (Passing, ARGUMENTS),
        (Mixed, ARGUMENTS),
        (Fixed, {"input_shape": (6,), "n_init": 3}),
    ],
)
def test_subclasses_are_rebuilt(tmp_path: Path, method: type[DEC], arguments: dict[str, Any]) -> None:
    model, run = method(**arguments), trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = method.load_from_checkpoint(tmp_path / "model.ckpt")
    assert type(loaded) is method
    assert torch.equal(weights(loaded), weights(model))
    assert getattr(loaded, "extra", None) == getattr(model, "extra", None)


def test_arguments_can_be_changed(tmp_path: Path) -> None:
    model, run = DEC(**ARGUMENTS), trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "model.ckpt")
    longer = PhaseConfig(max_steps=9, loss_weights={"kl": 1.0})
    loaded = DEC.load_from_checkpoint(tmp_path / "model.ckpt", clustering=longer, refresh=RefreshConfig(tolerance=0.5))
    assert loaded.phases[-1].n_steps(1) == 9
    assert loaded.hparams["refresh"]["tolerance"] == 0.5
