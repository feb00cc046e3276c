"""Principal components, against scikit-learn."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, TruncatedSVD

from datamodules import ArrayDataModule
from lightning_dc import AEKMeans, InputError, PhaseConfig
from lightning_dc.callbacks import component_fit
from lightning_dc.encoders import PrincipalComponents
from tests.helpers.methods import trainer

DIGITS = load_digits().data.astype(np.float64)


def fitted(tmp_path: Path, x: object, n_features: int, **arguments: object) -> PrincipalComponents:
    encoder = functools.partial(PrincipalComponents, **arguments)  # type: ignore[arg-type]
    model = AEKMeans((n_features,), 3, autoencoder=encoder, pretraining=PhaseConfig())
    trainer(tmp_path).fit(model, ArrayDataModule(x, scaling="none"))
    assert isinstance(model.model.network, PrincipalComponents)
    return model.model.network


@pytest.mark.parametrize("most_features", [2048, 10])
def test_components_are_those_of_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_features: int
) -> None:
    """By the covariance, and by subspace iteration."""
    monkeypatch.setattr(component_fit, "_MOST_FEATURES", most_features)
    network = fitted(tmp_path, DIGITS, 64, latent_dim=5)
    reference = PCA(5, svd_solver="full").fit(DIGITS)
    np.testing.assert_allclose(network.mean.numpy(), reference.mean_, atol=1e-5)
    signs = np.sign((network.components.numpy() * reference.components_).sum(1))[:, None]
    np.testing.assert_allclose(network.components.numpy() * signs, reference.components_, atol=2e-3)
    z = network.encode(torch.from_numpy(DIGITS).float())
    np.testing.assert_allclose(z.numpy() * signs[:, 0], reference.transform(DIGITS), atol=0.1)
    back = network.decode(z)
    np.testing.assert_allclose(back.numpy(), reference.inverse_transform(reference.transform(DIGITS)), atol=0.1)
    largest = network.components.abs().argmax(1, keepdim=True)
    assert bool((network.components.gather(1, largest) > 0).all())


def test_singular_vectors_of_sparse_samples_are_those_of_scikit_learn(tmp_path: Path) -> None:
    x = sparse.random(300, 40, 0.2, random_state=0, dtype=np.float32, format="csr")
    network = fitted(tmp_path, x, 40, latent_dim=3, center=False, unit=True)
    z = network.encode(torch.from_numpy(x.toarray())).numpy()
    reference = TruncatedSVD(3, algorithm="arpack").fit_transform(x.astype(np.float64))
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(z), np.abs(reference), atol=1e-3)
    assert not bool(network.mean.any())


def test_no_more_components_than_features() -> None:
    assert PrincipalComponents((3,), latent_dim=10).latent_dim == 3
    with pytest.raises(InputError, match="latent_dim=0 must be at least 1"):
        PrincipalComponents((3,), latent_dim=0)


def test_nothing_is_trained_and_buffers_are_saved_once() -> None:
    network = PrincipalComponents((2, 3), latent_dim=4)
    assert not list(network.parameters())
    assert list(network.state_dict()) == ["encoder.mean", "encoder.components"]
    assert network.decode(network.encode(torch.zeros(5, 2, 3))).shape == (5, 2, 3)
    assert not network.is_fitted
