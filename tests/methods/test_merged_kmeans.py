"""The method MergedKMeans, against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import pairwise_distances_argmin

from datamodules import ArrayDataModule
from lightning_dc import Identity, InputError, MergedKMeans
from lightning_dc.heads import PrototypeHead
from lightning_dc.kmeans.prototypes import merge_prototypes
from tests.helpers.methods import trainer

X, Y = make_moons(600, noise=0.05, random_state=0)


def moons() -> ArrayDataModule:
    return ArrayDataModule(X.astype(np.float32), scaling="none")


def test_two_moons_are_found_which_k_means_cuts(tmp_path: Path) -> None:
    model = MergedKMeans((2,), 2, autoencoder=Identity, linkage="single")
    trainer(tmp_path).fit(model, moons())
    assert model.final is not None
    assert adjusted_rand_score(model.final.labels, Y) > 0.99
    head = model.model.head
    assert isinstance(head, PrototypeHead)
    prototypes = head.prototypes.detach().numpy()
    merged = AgglomerativeClustering(2, linkage="single").fit_predict(prototypes)
    expected = merged[pairwise_distances_argmin(X, prototypes)]
    assert adjusted_rand_score(model.final.labels, expected) == 1.0


def test_a_checkpoint_assigns_as_the_model_does(tmp_path: Path) -> None:
    model = MergedKMeans((2,), 3, n_prototypes=20)
    run = trainer(tmp_path)
    run.fit(model, moons())
    run.save_checkpoint(tmp_path / "m.ckpt")
    x = torch.from_numpy(X).float()
    loaded = MergedKMeans.load_from_checkpoint(tmp_path / "m.ckpt")
    assert torch.equal(loaded(x), model(x))
    assert model(x).sum(0).min() > 0


@pytest.mark.parametrize("linkage", ["average", "ward", "complete", "single"])
def test_prototypes_are_merged_as_by_scikit_learn(linkage: str) -> None:
    points = np.random.default_rng(0).normal(size=(40, 3))
    own = merge_prototypes(torch.from_numpy(points), 4, linkage)  # type: ignore[arg-type]
    expected = AgglomerativeClustering(4, linkage=linkage).fit_predict(points)
    assert adjusted_rand_score(own, expected) == 1.0


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="n_prototypes=2 must be at least n_clusters=3"):
        MergedKMeans((2,), 3, n_prototypes=2)
    with pytest.raises(InputError, match="linkage='median' is unknown; choose from average, ward"):
        MergedKMeans((2,), 3, linkage="median")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="n_init=0 must be at least 1"):
        MergedKMeans((2,), 3, n_init=0)


def test_few_samples_have_fewer_prototypes(tmp_path: Path) -> None:
    few = ArrayDataModule(np.repeat(np.eye(3, dtype=np.float32), 4, axis=0), scaling="none")
    model = MergedKMeans((3,), 3, autoencoder=Identity)
    trainer(tmp_path).fit(model, few)
    assert model.final is not None
    assert adjusted_rand_score(model.final.labels, np.repeat(np.arange(3), 4)) == 1.0
    head = model.model.head
    assert isinstance(head, PrototypeHead)
    assert len(head.prototypes.unique(dim=0)) == 3
