from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from lightning_dc import InputError, MLPAutoencoder, PhaseConfig
from lightning_dc.augmentation import RandomAffine
from lightning_dc.schedules import OneCycle
from lightning_dc.training.hyperparameters import as_config


def some_function() -> None:
    """Do nothing; this function can be imported."""


def test_primitives_stay_as_they_are() -> None:
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": (1, 2)}}
    assert as_config(value) == {"a": [1, 2.5, "x", None, True], "b": {"c": [1, 2]}}
    assert as_config(Path("a/b")) == str(Path("a/b"))


def test_components_name_their_class_and_arguments() -> None:
    assert as_config(torch.optim.SGD)["class_path"].endswith(".SGD")
    assert as_config(functools.partial(MLPAutoencoder, latent_dim=3)) == {
        "class_path": "lightning_dc.encoders.mlp_autoencoder.MLPAutoencoder",
        "init_args": {"latent_dim": 3},
    }
    assert as_config(OneCycle(warmup=0.5))["init_args"] == {"warmup": 0.5, "start": 0.04, "end": 4e-6}
    assert as_config(RandomAffine(0.2, 5.0))["init_args"] == {
        "max_shift": 0.2,
        "max_rotation": 5.0,
        "max_scale": 0.0,
        "max_shear": 0.0,
    }
    assert as_config(some_function).endswith("test_hyperparameters.some_function")


def test_a_phase_is_described_whole() -> None:
    config = as_config(PhaseConfig(max_epochs=3, lr_schedule=OneCycle(), loss_weights={"kl": 0.1}))
    assert config["max_epochs"] == 3
    assert config["loss_weights"] == {"kl": 0.1}
    assert config["lr_schedule"]["class_path"].endswith("OneCycle")
    assert config["optimizer"]["class_path"].endswith("Adam")


@pytest.mark.parametrize(
    "value", [lambda: 1, functools.partial(MLPAutoencoder, (3,)), torch.nn.Linear(1, 1), object(), {"a": [object()]}]
)
def test_what_can_not_be_described_is_named(value: object) -> None:
    with pytest.raises(InputError, match=r"autoencoder.* which no checkpoint can describe"):
        as_config(value, "autoencoder")
