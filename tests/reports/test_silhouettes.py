"""Tests of the silhouettes before and after clustering."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.metrics import silhouette_score
from torch import Tensor

from datamodules import ArrayDataModule, SyntheticDataModule
from lightning_dc import SCAN, AEKMeans, ClusteringModule, DeepType, Identity, MLPEncoder, PhaseConfig
from lightning_dc.reports import Silhouettes
from lightning_dc.reports.mean_silhouette import mean_silhouette
from lightning_dc.reports.separation import separation
from tests.helpers.methods import Blobs, dcn, dec, idec, trainer


class Embeddings(pl.Callback):
    """Callback that keeps the embeddings of the training set when clusters begin."""

    before: Tensor | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.phase.has_clusters and self.before is None:
            loader = trainer.train_dataloader
            self.before = pl_module.embed(loader.read(0, loader.n_samples).x).detach()  # type: ignore[union-attr]


def fit(model: ClusteringModule, data: pl.LightningDataModule, tmp_path: Path) -> tuple[dict[str, float], Tensor]:
    """Return the silhouettes that a fit logs, and the embeddings when clusters began."""
    kept = Embeddings()
    run = trainer(tmp_path, kept, Silhouettes(), logger=CSVLogger(tmp_path))
    run.fit(model, data)
    lines = (Path(run.log_dir or "") / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    found = [row for row in rows if row.get("final/silhouette_after")]
    assert kept.before is not None
    logged = {when: float(found[-1][f"final/silhouette_{when}"]) for when in ("before", "after")}
    clustered = found[-1].get("final/clustered")
    logged |= {"separation": float(found[-1]["final/separation"])}
    return logged | ({"clustered": float(clustered)} if clustered else {}), kept.before


def deeptype() -> DeepType:
    pl.seed_everything(0, verbose=False)
    data = SyntheticDataModule(target="class")
    return DeepType(
        data.input_shape, data.target_spec, n_clusters=4, pretraining=PhaseConfig(2, loss_weights={"task": 1.0})
    )


@pytest.mark.parametrize("method", [dec, idec, dcn, deeptype])
def test_they_are_those_of_the_final_clusters_in_both_embeddings(method: Any, tmp_path: Path) -> None:
    model = method()  # it seeds the random numbers, of which the data draw the seed of their order
    data = SyntheticDataModule(n_samples=150, target="class", scaling="standard") if method is deeptype else Blobs()
    logged, before = fit(model, data, tmp_path)
    assert logged["before"] == pytest.approx(silhouette_score(before, model.final.labels), abs=1e-5)
    assert logged["after"] == pytest.approx(silhouette_score(model.final.z, model.final.labels), abs=1e-5)
    assert logged["before"] != logged["after"]
    assert logged["separation"] == pytest.approx(separation(before, model.final.labels), abs=1e-5)
    assert ("clustered" in logged) is (method is not deeptype)
    assert logged.get("clustered", 1.0) == 1.0
    assert abs(logged["separation"] - separation(model.final.z, model.final.labels)) > 1e-3


@pytest.mark.parametrize("method", [dec, idec, dcn])
def test_the_embedding_before_is_the_same_for_all_numbers_of_clusters(method: Any, tmp_path: Path) -> None:
    embeddings = [fit(method(n_clusters=k), Blobs(), tmp_path / str(k))[1] for k in (2, 5)]
    assert torch.equal(*embeddings)


def test_without_an_encoder_both_are_those_of_the_scaled_inputs(tmp_path: Path) -> None:
    pl.seed_everything(0, verbose=False)
    model = AEKMeans((6,), 3, autoencoder=Identity, pretraining=PhaseConfig())
    logged, before = fit(model, Blobs(), tmp_path)
    assert logged["before"] == logged["after"] == pytest.approx(silhouette_score(before, model.final.labels), abs=1e-5)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [2, 2, 2, 2], [0, 1, 2, 3]])
def test_a_single_cluster_and_clusters_of_one_sample_have_none(labels: list[int]) -> None:
    assert math.isnan(mean_silhouette(torch.rand(4, 2), torch.tensor(labels)))


def test_shuffled_inputs_are_not_clustered(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(150, 6))
    logged, _ = fit(dec(), ArrayDataModule(x), tmp_path)
    assert logged["clustered"] == 0.0


def test_a_network_that_nothing_has_trained_is_not_judged(tmp_path: Path) -> None:
    """SCAN has no pretraining, so the space before clustering is that of the inputs."""
    x = np.random.default_rng(1).normal(size=(150, 6))
    pl.seed_everything(0, verbose=False)
    phase = PhaseConfig(max_epochs=2, loss_weights={"consistency": 1.0, "balance": 2.0})
    model = SCAN((6,), 3, encoder=functools.partial(MLPEncoder, hidden_dims=[8]), consistency=phase)
    logged, _ = fit(model, ArrayDataModule(x, scaling="none"), tmp_path)
    assert logged["before"] == pytest.approx(silhouette_score(x, model.final.labels), abs=1e-4)
