"""Short fits of every method, for ``gpu_check.py``."""

from __future__ import annotations

import functools
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from datamodules import DigitsDataModule, SyntheticDataModule
from datamodules.base import ClusteringDataModule
from datamodules.synthetic import SyntheticTarget
from lightning_dc import (
    DCN,
    DEC,
    IDEC,
    AEKMeans,
    ClusteringModule,
    DeepType,
    KMeansConfig,
    LayerFeatures,
    MLPAutoencoder,
    MLPEncoder,
    NearestCentroidHead,
    PhaseConfig,
    RefreshConfig,
)
from lightning_dc.augmentation import RandomAffine
from lightning_dc.functional import agreement_scores, contingency_table
from lightning_dc.training import clustering_module, training_loader

SGD = functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9)
ADAM = functools.partial(torch.optim.Adam, lr=0.002)
_NETWORK = functools.partial(MLPAutoencoder, hidden_dims=[32, 16], latent_dim=5)
_ENCODER = functools.partial(MLPEncoder, hidden_dims=[32, 8])
_RECONSTRUCTION = PhaseConfig(max_epochs=3, loss_weights={"reconstruction": 1.0}, optimizer=ADAM)
_TASK = {"task": 1.0, "sparsity": 0.3}


class Fit(NamedTuple):
    """A method on some data.

    Attributes:
        model: function that builds the method.
        data: function that builds its DataModule.
    """

    model: Callable[[], ClusteringModule]
    data: Callable[[], ClusteringDataModule]


def _digits(**arguments: Any) -> Callable[[], ClusteringDataModule]:
    return functools.partial(DigitsDataModule, batch_size=64, **arguments)


def _synthetic(target: SyntheticTarget) -> Callable[[], SyntheticDataModule]:
    return functools.partial(SyntheticDataModule, 600, batch_size=64, target=target, n_subtypes=2)


def _method(kind: Callable[..., ClusteringModule], **arguments: Any) -> Callable[[], ClusteringModule]:
    """Return a function that builds a method with an autoencoder for digits."""
    defaults: dict[str, Any] = {
        "input_shape": (1, 8, 8),
        "n_clusters": 10,
        "autoencoder": _NETWORK,
        "pretraining": _RECONSTRUCTION,
        "kmeans": KMeansConfig(n_init=3),
        "refresh": RefreshConfig(every_n_steps=10, tolerance=0.0),
    }
    return functools.partial(kind, **{**defaults, **arguments})


def _clustering(**weights: float) -> PhaseConfig:
    return PhaseConfig(max_epochs=2, loss_weights=weights, optimizer=SGD)


def _deeptype(target: SyntheticTarget, **arguments: Any) -> Fit:
    """Return a fit of DeepType on synthetic data with a kind of target."""
    data = _synthetic(target)
    defaults: dict[str, Any] = {
        "input_shape": (20,),
        "target_spec": data().target_spec,
        "n_clusters": 4,
        "encoder": _ENCODER,
        "pretraining": PhaseConfig(max_epochs=3, loss_weights=_TASK, optimizer=ADAM),
        "joint": PhaseConfig(max_epochs=3, loss_weights={**_TASK, "distance": 0.2}, optimizer=ADAM),
        "kmeans": KMeansConfig(n_init=3),
        "refresh": RefreshConfig(every_n_epochs=1, tolerance=0.0),
    }
    return Fit(functools.partial(DeepType, **{**defaults, **arguments}), data)


_KL = _clustering(kl=1.0)
_DCN = _clustering(reconstruction=1.0, kmeans=0.5)

FITS: dict[str, Fit] = {
    "dec": Fit(_method(DEC, clustering=_KL, keep_p_table=True), _digits()),
    "dec, data on the device": Fit(_method(DEC, clustering=_KL, keep_p_table=False), _digits(keep_on_device=True)),
    "dec, layer by layer": Fit(_method(DEC, layerwise=_RECONSTRUCTION, clustering=_KL), _digits()),
    "dec, two layers": Fit(
        _method(DEC, clustering=_KL, representation=["activation_1", LayerFeatures("linear_3")]), _digits()
    ),
    "dec, mini-batch k-means": Fit(
        _method(DEC, clustering=_KL, kmeans=KMeansConfig(algorithm="mini_batch")), _digits()
    ),
    "idec": Fit(_method(IDEC, clustering=_clustering(reconstruction=1.0, kl=0.1)), _digits()),
    "dcn": Fit(_method(DCN, clustering=_DCN, refresh=RefreshConfig(every_n_epochs=1, tolerance=0.0)), _digits()),
    "ae_kmeans": Fit(
        functools.partial(AEKMeans, (1, 8, 8), 10, autoencoder=_NETWORK, pretraining=_RECONSTRUCTION), _digits()
    ),
    "hard head": Fit(
        _method(DEC, clustering=_clustering(reconstruction=1.0), head=NearestCentroidHead), _digits(val_fraction=0.2)
    ),
    "deeptype, class": _deeptype("class"),
    "deeptype, value": _deeptype("value", norm="l1", gamma=None),
    "deeptype, survival": _deeptype("survival", norm="l1inf", gamma=None),
    "deeptype, breslow": _deeptype("survival", ties="breslow", norm="ridge", proximal=False, gamma=None, bound=0.5),
}


def augmented(n_epochs: int = 3, noise: float = 0.2) -> Fit:
    """Return a fit of DEC with every source of random numbers: augmentation, input noise and dropout."""
    noisy = PhaseConfig(
        max_epochs=n_epochs, loss_weights={"reconstruction": 1.0}, optimizer=ADAM, input_dropout=noise, dropout=noise
    )
    return Fit(_method(DEC, pretraining=noisy, clustering=_KL, augmentation=RandomAffine()), _digits())


class Losses(Callback):
    """Callback that keeps the loss of each step."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.values.append(outputs["loss"])


class Outcome(NamedTuple):
    """Result of a fit.

    Attributes:
        module: the module after the fit.
        losses: loss of each step.
    """

    module: ClusteringModule
    losses: Tensor


def run_fit(
    case: Fit,
    device: torch.device,
    *,
    callbacks: tuple[Callback, ...] = (),
    ckpt_path: Path | None = None,
    **trainer: Any,
) -> Outcome:
    """Run a fit from seed 0, and return its result.

    Args:
        case: method and data.
        device: device that trains.
        callbacks: further callbacks.
        ckpt_path: checkpoint from which to go on.
        **trainer: further arguments of the Trainer.
    """
    pl.seed_everything(0, verbose=False)
    module, data, losses = case.model(), case.data(), Losses()
    arguments: dict[str, Any] = {
        "accelerator": device.type,
        "devices": 1,
        "max_epochs": -1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        pl.Trainer(**{**arguments, **trainer}, callbacks=[losses, *callbacks]).fit(module, data, ckpt_path=ckpt_path)
    return Outcome(module, torch.stack(losses.values).cpu())


def tensors_of(outcome: Outcome) -> Mapping[str, Tensor]:
    """Return everything that two fits are compared by, in main memory: weights, losses, assignments and P."""
    module, final, state = outcome.module, outcome.module.final, outcome.module.state
    found = {f"weight {name}": value for name, value in module.state_dict().items()} | {"losses": outcome.losses}
    if final is not None:
        found |= {"labels": final.labels, "frequencies": final.frequencies}
    if state.target_distribution is not None:
        found["P frequencies"] = state.target_distribution.frequencies
        if state.target_distribution.table is not None:
            found["P"] = state.target_distribution.table
    return {name: value.detach().cpu() for name, value in found.items()}


def relative_difference(value: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the largest magnitude of the expected values; infinite for NaN."""
    if value.shape != expected.shape:
        return float("inf")
    if expected.numel() == 0:
        return 0.0
    difference = (value.double() - expected.double()).abs().max()
    return float((difference / expected.double().abs().max().clamp_min(1e-30)).nan_to_num(nan=float("inf")))


class Times(Callback):
    """Callback that writes when each phase began and when each refresh found which accuracy, as JSON, at the end.

    Args:
        path: file to write.
        began_at: time of the start of the process, seconds since 1970.
    """

    def __init__(self, path: str, began_at: float) -> None:
        self._path = Path(path)
        self._began_at = began_at
        self._phases: list[tuple[str, float]] = []
        self._accuracies: list[tuple[float, int, float]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._phases.append(("setup", self._now()))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._phases.append(("start", self._now()))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        name = clustering_module(pl_module).phase.name
        if self._phases[-1][0] != name:
            self._phases.append((name, self._now()))
        self._look(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._look(pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        if module.final is not None:
            self._accuracies.append((self._now(), trainer.global_step, module.final.scores()["acc"]))
        figures = {"phases": self._phases, "accuracies": self._accuracies, "end": self._now()}
        self._path.write_text(json.dumps(figures))

    def _look(self, pl_module: pl.LightningModule) -> None:
        """Note the accuracy at a refresh, which is among the metrics of the trainer until the next one."""
        module = clustering_module(pl_module)
        latest = module.state.assignments
        if latest is None or (self._accuracies and self._accuracies[-1][1] == latest.step):
            return
        at, loader = self._now(), training_loader(module)
        y = loader.read(0, loader.n_samples).y
        assert y is not None
        labels = latest.labels.to(y.device)
        table = contingency_table(labels, y, int(labels.max()) + 1, int(y.max()) + 1)
        self._accuracies.append((at, latest.step, agreement_scores(table.cpu().numpy())["acc"]))

    def _now(self) -> float:
        return time.time() - self._began_at
