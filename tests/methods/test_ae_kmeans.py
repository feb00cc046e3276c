"""Tests of AE+k-means against scikit-learn's k-means."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from torch import Tensor

from datamodules import ClusteringDataModule, Samples
from lightning_dc import AEKMeans, Identity, InputError, MLPAutoencoder, PhaseConfig
from tests.helpers.methods import RECONSTRUCTION, SGD, Blobs, Observe, trainer, weights


def ae_kmeans(**kwargs: Any) -> AEKMeans:
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "input_shape": (6,),
        "n_clusters": 3,
        "autoencoder": functools.partial(MLPAutoencoder, hidden_dims=[8], latent_dim=2),
        "pretraining": PhaseConfig(max_epochs=2, loss_weights=RECONSTRUCTION, optimizer=SGD),
    }
    return AEKMeans(**{**defaults, **kwargs})


class FirstDigits(ClusteringDataModule):
    """DataModule of 900 digits of scikit-learn, whose clusters overlap."""

    def load(self) -> Samples:
        return Samples(load_digits().data[:900])


def of_all(model: AEKMeans, data: ClusteringDataModule) -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings and clusters of the model."""
    x = data.train_dataloader().read(0, 10_000).x
    return model.embed(x).detach().double().numpy(), model(x).argmax(1).numpy()


def inertia_of(z: np.ndarray, labels: np.ndarray) -> float:
    return float(sum(((z[labels == k] - z[labels == k].mean(0)) ** 2).sum() for k in np.unique(labels)))


def test_labels_are_those_of_kmeans_on_the_embeddings(tmp_path: Path) -> None:
    model = ae_kmeans(
        input_shape=(64,),
        n_clusters=10,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=5),
        pretraining=PhaseConfig(max_epochs=5, loss_weights=RECONSTRUCTION),
    )
    data = FirstDigits()
    trainer(tmp_path).fit(model, data)
    z, labels = of_all(model, data)
    assert model.state.assignments is not None
    np.testing.assert_array_equal(model.state.assignments.labels.numpy(), labels)
    centroids = model.model.head.centroids.detach().double().numpy()
    np.testing.assert_array_equal(labels, cdist(z, centroids).argmin(1))
    # Clusters overlap, so that the best of 20 restarts varies by some tenths of a percent: in scikit-learn, too.
    assert inertia_of(z, labels) <= 1.01 * KMeans(10, n_init=20, random_state=0).fit(z).inertia_
    assert inertia_of(z, labels) <= 1.001 * KMeans(10, init=centroids, n_init=1).fit(z).inertia_


def test_without_an_encoder_it_is_kmeans_on_the_scaled_data(tmp_path: Path) -> None:
    model = ae_kmeans(input_shape=(64,), n_clusters=10, autoencoder=Identity, pretraining=PhaseConfig())
    data, run = FirstDigits(), trainer(tmp_path)
    run.fit(model, data)
    x = load_digits().data[:900]
    x = x / np.sqrt((x**2).mean())
    z, labels = of_all(model, data)
    np.testing.assert_allclose(z, x, rtol=1e-5)
    theirs = KMeans(10, n_init=20, random_state=0).fit(x).inertia_
    assert 0.99 * theirs <= inertia_of(x, labels) <= 1.005 * theirs
    assert run.global_step == 1


def test_the_step_of_kmeans_changes_no_weight_of_the_autoencoder(tmp_path: Path) -> None:
    model, observe = ae_kmeans(), Observe()
    trainer(tmp_path, observe).fit(model, Blobs())
    assert observe.phases == ["pretraining"] * 8 + ["k-means"]
    before, after = observe.weights[-1], dict(model.named_parameters())
    for name in before:
        assert torch.equal(before[name], after[name]), name
    assert not observe.weights[-2]["model.head.centroids"].any()
    assert before["model.head.centroids"].any()
    trained = {name for name in before if not torch.equal(before[name], observe.weights[0][name])}
    assert trained == set(before)


def test_the_checkpoint_of_a_fit_holds_the_centroids(tmp_path: Path) -> None:
    """The command line saves at the end of the epoch that the single step of k-means has begun."""
    model, data = ae_kmeans(), Blobs()
    save = ModelCheckpoint(tmp_path / "kept", "last", enable_version_counter=False, save_on_train_epoch_end=True)
    trainer(tmp_path, save, enable_checkpointing=True).fit(model, data)
    loaded = AEKMeans.load_from_checkpoint(tmp_path / "kept/last.ckpt", weights_only=True)
    assert torch.equal(weights(loaded), weights(model))
    assert model.state.assignments is not None
    np.testing.assert_array_equal(of_all(loaded, data)[1], model.state.assignments.labels.numpy())
    batches: Any = trainer(tmp_path).predict(loaded, data)
    q = torch.cat([batch["q"] for batch in batches])
    assert q.argmax(1).tolist() == model.state.assignments.labels.tolist()
    assert set(q.unique().tolist()) == {0.0, 1.0}


def test_a_checkpoint_of_the_pretraining_goes_on_with_kmeans(tmp_path: Path) -> None:
    whole = ae_kmeans()
    save = ModelCheckpoint(tmp_path / "kept", "pretrained", every_n_train_steps=8, save_top_k=-1)
    trainer(tmp_path, save, enable_checkpointing=True).fit(whole, Blobs())
    resumed, run = ae_kmeans(), trainer(tmp_path)
    with pytest.warns(UserWarning, match="callbacks used to create the checkpoint"):
        run.fit(resumed, Blobs(), ckpt_path=tmp_path / "kept/pretrained.ckpt", weights_only=True)
    assert run.global_step == 9
    assert torch.equal(weights(resumed), weights(whole))


def test_labels_are_never_used(tmp_path: Path) -> None:
    fitted: list[Tensor] = []
    for labels in ("true", "permuted", "none"):
        model = ae_kmeans()
        trainer(tmp_path).fit(model, Blobs(labels))
        fitted.append(weights(model))
    assert torch.equal(fitted[0], fitted[1])
    assert torch.equal(fitted[0], fitted[2])


def test_gradient_accumulation_runs_kmeans_once(tmp_path: Path) -> None:
    model, run = ae_kmeans(), trainer(tmp_path, accumulate_grad_batches=2)
    run.fit(model, Blobs())
    assert run.global_step == 2 * 2 + 1
    assert model.phases_over
    z, labels = of_all(model, Blobs())
    assert inertia_of(z, labels) <= 1.001 * KMeans(3, n_init=20, random_state=0).fit(z).inertia_


def test_more_clusters_than_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n_clusters=151 is more than the 150 samples"):
        trainer(tmp_path).fit(ae_kmeans(n_clusters=151, pretraining=PhaseConfig()), Blobs())
