"""Fit, validate and predict on the stand-in for a GPU: ``python fits_on_fake_gpu.py METHOD``, or by torchrun."""

from __future__ import annotations

import functools
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from fake_gpu import GPU, Rules, trainer

from datamodules import ClusteringDataModule, Samples
from lightning_dc import (
    DCN,
    DEC,
    IDEC,
    AEKMeans,
    ClusteringModule,
    DeepType,
    KMeansConfig,
    MLPAutoencoder,
    MLPEncoder,
    PhaseConfig,
    RefreshConfig,
    TargetSpec,
)
from lightning_dc.augmentation import RandomAffine
from lightning_dc.reports import Baseline, FeatureTable, OutcomeTables, PredictionWriter, RunSummary

SHAPE, K = (1, 4, 5), 5
ADAM = functools.partial(torch.optim.Adam, lr=0.01)
SPECS = {"class": TargetSpec("class", tuple("abcde")), "survival": TargetSpec("survival", ("time", "event"))}
WEIGHTS = {"task": 1.0, "sparsity": 1.0}


class Patients(ClusteringDataModule):
    """DataModule of samples around five centres: three chunks, of which two processes have unequal shares."""

    def __init__(self, kind: str = "", **arguments: Any) -> None:
        super().__init__(batch_size=300, val_fraction=0.3, **arguments)
        self.kind = kind

    @property
    def target_spec(self) -> TargetSpec | None:
        return SPECS.get(self.kind)

    @property
    def feature_names(self) -> list[str]:
        return [f"input {j}" for j in range(20)]

    def load(self) -> Samples:
        generator, n = torch.Generator().manual_seed(0), 12_001
        centres = 2 * torch.randn(K, *SHAPE, generator=generator, dtype=torch.float64)
        y = torch.randint(K, (n,), generator=generator)
        u = torch.rand(n, 2, generator=generator, dtype=torch.float64)
        survival = torch.stack([(-5 * u[:, 0].log() * (1 + y)).ceil(), (u[:, 1] < 0.7).double()], 1)
        x = centres[y] + torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)
        return Samples(x, y, {"class": y, "survival": survival}.get(self.kind))


class OnDevice(pl.Callback):
    """Callback that makes sure that all of a training step is on the device."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        assert pl_module.model.head.centroids.device == batch.x.device == batch.index.device == GPU


def phase(**weights: float) -> PhaseConfig:
    return PhaseConfig(max_steps=12, loss_weights=weights, optimizer=ADAM)


def method(kind: Any, **arguments: Any) -> ClusteringModule:
    defaults: dict[str, Any] = {
        "input_shape": SHAPE,
        "n_clusters": K,
        "autoencoder": functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=4),
        "augmentation": RandomAffine(),
        "pretraining": PhaseConfig(max_steps=6, loss_weights={"reconstruction": 1.0}, optimizer=ADAM, dropout=0.2),
        "kmeans": KMeansConfig(n_init=3),
    }
    if kind is not AEKMeans:
        defaults["refresh"] = RefreshConfig(every_n_steps=5, tolerance=0.0)
    return kind(**{**defaults, **arguments})


def deeptype(kind: str, **arguments: Any) -> ClusteringModule:
    return DeepType(
        SHAPE,
        SPECS[kind],
        K,
        encoder=functools.partial(MLPEncoder, hidden_dims=[16, 8]),
        pretraining=phase(**WEIGHTS),
        joint=phase(**WEIGHTS, distance=0.2),
        kmeans=KMeansConfig(n_init=3),
        refresh=RefreshConfig(every_n_steps=5),
        **arguments,
    )


CASES: dict[str, tuple[Any, Any]] = {
    "dec": (
        lambda: method(DEC, clustering=phase(kl=1.0), kmeans=KMeansConfig(n_init=3, every_n_steps=6)),
        Patients,
    ),
    "idec_on_device": (
        lambda: method(IDEC, clustering=phase(reconstruction=1.0, kl=0.1)),
        lambda: Patients(keep_on_device=True, scaling="standard"),
    ),
    "empty_clusters": (lambda: method(DEC, clustering=phase(kl=1.0), n_clusters=60), Patients),
    "dcn": (lambda: method(DCN, clustering=phase(reconstruction=1.0, kmeans=1.0)), Patients),
    "mini_batch": (lambda: method(AEKMeans, kmeans=KMeansConfig(n_init=3, algorithm="mini_batch")), Patients),
    "deeptype_class": (lambda: deeptype("class", norm="l1inf"), lambda: Patients("class")),
    "deeptype_survival": (lambda: deeptype("survival"), lambda: Patients("survival")),
}


def main() -> None:
    """Run one case; a broken rule ends the process with a traceback."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    pl.seed_everything(0, verbose=False)
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    build, build_data = CASES[sys.argv[1]]
    with Rules():
        module, data = build(), build_data()
        baseline = Baseline()
        reports = [OnDevice(), RunSummary(recluster=["kmeans"]), baseline, OutcomeTables(), FeatureTable()]
        run = trainer(world_size, callbacks=reports)
        run.fit(module, data)
        assert (baseline.result is not None) == run.is_global_zero  # a broken rule would not end the fit
        trainer(world_size).validate(module, data, verbose=False)
        writer = PredictionWriter(Path("predictions.npz"), overwrite=True)
        trainer(world_size, callbacks=[writer]).predict(module, data, return_predictions=False)
    print(f"{sys.argv[1]} broke no rule")


if __name__ == "__main__":
    main()
