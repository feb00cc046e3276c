"""The method GaussianMixture, against scikit-learn, resumed, applied and from the command line."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from datamodules import ArrayDataModule
from lightning_dc import GaussianMixture, Identity, InputError, MLPAutoencoder, PhaseConfig
from lightning_dc.heads import GaussianMixtureHead
from lightning_dc.mixture import gaussian_mixture
from tests.conftest import CommandLine
from tests.helpers.methods import RECONSTRUCTION, trainer

X, Y = load_wine(return_X_y=True)


def wine() -> ArrayDataModule:
    return ArrayDataModule(X, scaling="standard")


def test_wine_is_clustered_as_by_the_parts(tmp_path: Path) -> None:
    model = GaussianMixture((13,), 3)
    trainer(tmp_path).fit(model, wine())
    assert model.final is not None
    labels = model.final.labels.numpy()
    z = PCA(10).fit_transform((X - X.mean(0)) / X.std(0))
    parts = gaussian_mixture(torch.from_numpy(z), 3)
    joint = torch.distributions.MultivariateNormal(
        parts.means, precision_matrix=parts.factors @ parts.factors.mT
    ).log_prob(torch.from_numpy(z)[:, None])
    assert adjusted_rand_score(labels, (joint + parts.log_weights).argmax(1)) > 0.95
    assert adjusted_rand_score(labels, Y) > 0.9
    assert model.final.q is not None
    np.testing.assert_allclose(model.final.q.sum(1).numpy(), 1.0, atol=1e-6)


def test_a_checkpoint_assigns_as_the_model_does(tmp_path: Path) -> None:
    model = GaussianMixture((13,), 3)
    run = trainer(tmp_path)
    run.fit(model, wine())
    run.save_checkpoint(tmp_path / "m.ckpt")
    loaded = GaussianMixture.load_from_checkpoint(tmp_path / "m.ckpt")
    x = torch.from_numpy((X - X.mean(0)) / X.std(0)).float()
    assert torch.equal(loaded(x), model(x))
    assert isinstance(loaded.model.head, GaussianMixtureHead)
    assert bool(loaded.model.head.log_weights.any())


def test_the_embedding_of_a_trained_autoencoder(tmp_path: Path) -> None:
    network = functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=3)
    pretraining = PhaseConfig(max_epochs=3, loss_weights=RECONSTRUCTION)
    model = GaussianMixture((13,), 3, autoencoder=network, pretraining=pretraining)
    assert [phase.name for phase in model.phases] == ["pretraining", "mixture"]
    trainer(tmp_path).fit(model, wine())
    assert model.final is not None
    assert model.final.z is not None
    assert model.final.z.shape == (178, 3)


def test_identity_clusters_the_inputs(tmp_path: Path) -> None:
    model = GaussianMixture((13,), 3, autoencoder=Identity)
    trainer(tmp_path).fit(model, wine())
    assert model.final is not None
    assert adjusted_rand_score(model.final.labels, Y) > 0.85


def test_the_model_can_be_exported_for_batches_of_any_size() -> None:
    model = GaussianMixture((13,), 3).model.eval()
    x = torch.randn(5, 13, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2, max=10_000_000)},))
    assert torch.equal(program.module()(x[:3]), model(x[:3]))


@pytest.mark.parametrize("shrinkage", [-1.0, math.nan])
def test_bad_shrinkage(shrinkage: float) -> None:
    with pytest.raises(InputError, match="must not be negative"):
        GaussianMixture((13,), 3, shrinkage=shrinkage)


def test_the_command_line_fits_and_predicts(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    np.save("x.npy", X)
    flags = ("--data=ArrayDataModule", "--data.x=x.npy", "--data.scaling=standard", "--trainer.accelerator=cpu")
    lightning_dc_cli("fit", "--model=GaussianMixture", "--model.n_clusters=3", "--model.shrinkage=.inf", *flags)
    folder = tmp_path / "runs/run/version_0"
    assert (folder / "clusters.parquet").is_file()
    lightning_dc_cli("predict", f"--ckpt_path={folder}", "--output.path=p.npz", *flags[:2], *flags[3:])
    with np.load("p.npz") as predictions:
        assert adjusted_rand_score(predictions["cluster"], Y) > 0.9
