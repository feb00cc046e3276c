"""Small methods and data, and callbacks that observe a fit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from datamodules import ClusteringDataModule, Samples
from lightning_dc import DCN, DEC, IDEC, KMeansConfig, MLPAutoencoder, PhaseConfig, RefreshConfig

SGD = functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9)
RECONSTRUCTION = {"reconstruction": 1.0}
SLOW = functools.partial(torch.optim.SGD, lr=0.02, momentum=0.5)
DCN_WEIGHTS = {"reconstruction": 1.0, "kmeans": 1.0}
REFRESH = functools.partial(RefreshConfig, tolerance=0.0)
"""Refreshes that never end a phase."""


class Blobs(ClusteringDataModule):
    """DataModule of 150 samples of 6 features around 3 centres, in float64."""

    def __init__(self, y: str = "true", batch_size: int = 40, val_fraction: float = 0.0) -> None:
        super().__init__(batch_size=batch_size, val_fraction=val_fraction)
        self.y = y

    def load(self) -> Samples:
        random = np.random.default_rng(0)
        y = np.arange(150) % 3
        x = random.normal(scale=3, size=(3, 6))[y] + random.normal(size=(150, 6))
        labels = {"true": y, "permuted": random.permutation(y), "none": None, "unknown": np.full(150, -1)}
        return Samples(x, labels[self.y])


def dec(**kwargs: Any) -> DEC:
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "input_shape": (6,),
        "n_clusters": 3,
        "autoencoder": functools.partial(MLPAutoencoder, hidden_dims=[8], latent_dim=2),
        "layerwise": PhaseConfig(max_epochs=0, loss_weights=RECONSTRUCTION),
        "pretraining": PhaseConfig(max_epochs=2, loss_weights=RECONSTRUCTION, optimizer=SGD),
        "clustering": PhaseConfig(max_epochs=4, loss_weights={"kl": 1.0}, optimizer=SGD),
        "kmeans": KMeansConfig(n_init=3),
        "refresh": RefreshConfig(every_n_steps=3, tolerance=0.0),
    }
    return DEC(**{**defaults, **kwargs})


def dcn(**kwargs: Any) -> DCN:
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "input_shape": (6,),
        "n_clusters": 3,
        "autoencoder": functools.partial(MLPAutoencoder, hidden_dims=[8], latent_dim=2),
        "pretraining": PhaseConfig(max_epochs=2, loss_weights=RECONSTRUCTION, optimizer=SLOW),
        "clustering": PhaseConfig(max_epochs=4, loss_weights=DCN_WEIGHTS, optimizer=SLOW),
        "kmeans": KMeansConfig(n_init=3),
        "refresh": RefreshConfig(tolerance=0.0),
    }
    return DCN(**{**defaults, **kwargs})


def idec(**kwargs: Any) -> IDEC:
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "input_shape": (6,),
        "n_clusters": 3,
        "autoencoder": functools.partial(MLPAutoencoder, hidden_dims=[8], latent_dim=2),
        "pretraining": PhaseConfig(max_epochs=2, loss_weights=RECONSTRUCTION, optimizer=SGD),
        "clustering": PhaseConfig(max_epochs=2, loss_weights={"reconstruction": 1.0, "kl": 0.1}, optimizer=SGD),
        "kmeans": KMeansConfig(n_init=3),
        "refresh": RefreshConfig(every_n_steps=3, tolerance=0.0),
    }
    return IDEC(**{**defaults, **kwargs})


def trainer(tmp_path: Path, *callbacks: pl.Callback, **kwargs: Any) -> pl.Trainer:
    options: dict[str, Any] = {
        "max_epochs": -1,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
        "callbacks": list(callbacks),
    }
    return pl.Trainer(**{**options, **kwargs})


def weights(module: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def plain_autoencoder(p: dict[str, Tensor]) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return encoder 6-8-2 and decoder 2-8-6, with ReLU only inside, as products with the parameters of a model."""

    def network(name: str, x: Tensor) -> Tensor:
        hidden = torch.relu(x @ p[f"model.network.{name}.linear_1.weight"].T + p[f"model.network.{name}.linear_1.bias"])
        return hidden @ p[f"model.network.{name}.linear_2.weight"].T + p[f"model.network.{name}.linear_2.bias"]

    return functools.partial(network, "encoder"), functools.partial(network, "decoder")


class Observe(pl.Callback):
    """Callback that keeps the weights, the phase and the learning rate before each step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.phases: list[str] = []
        self.rates: list[tuple[float, float]] = []

    def on_before_zero_grad(self, trainer: pl.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        self.weights.append({name: value.detach().clone() for name, value in pl_module.named_parameters()})
        self.phases.append(pl_module.phase.name)
        group = optimizer.param_groups[0]
        self.rates.append((group["lr"], group.get("momentum", 0.0)))


class Memory(Logger):
    name, version = "memory", 0

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Mapping[str, float]] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append(dict(metrics))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Ignore the hyperparameters."""


def logged(logger: Memory, name: str) -> list[float]:
    return [row[name] for row in logger.rows if name in row]
