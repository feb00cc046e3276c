"""The EM algorithm of mixtures, against scikit-learn and against a formula of its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as Reference

from lightning_dc import InputError
from lightning_dc.functional import gaussian_mixture_log_joint
from lightning_dc.mixture import MixtureResult, gaussian_mixture

Array = NDArray[np.float64]


def overlapping(seed: int = 0, n: int = 600) -> tuple[Array, NDArray[np.int64]]:
    """Return three clusters of unlike sizes and shapes."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=(0.6, 0.3, 0.1))
    shapes = np.array([[[1.0, 0.8], [0.0, 0.4]], [[0.5, 0.0], [0.0, 0.5]], [[0.3, -0.2], [0.0, 1.2]]])
    means = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    return means[y] + np.einsum("nij,nj->ni", shapes[y], rng.normal(size=(n, 2))), y


def joint_of(z: Array, mixture: MixtureResult) -> Array:
    joint: Array = gaussian_mixture_log_joint(torch.from_numpy(z), *mixture[:3]).numpy()
    return joint


def covariances_of(mixture: MixtureResult) -> Array:
    precisions = mixture.factors @ mixture.factors.mT
    covariances: Array = torch.linalg.inv(precisions).numpy()
    return covariances


def test_without_shrinkage_the_mixture_is_that_of_scikit_learn() -> None:
    z, _ = overlapping()
    own = gaussian_mixture(torch.from_numpy(z), 3, shrinkage=0.0)
    reference = Reference(3, n_init=20, tol=1e-8, max_iter=1000, random_state=0).fit(z)
    assert own.log_likelihood == pytest.approx(reference.score(z), abs=1e-3)
    order = np.argsort(own.means[:, 0].numpy()), np.argsort(reference.means_[:, 0])
    np.testing.assert_allclose(own.means.numpy()[order[0]], reference.means_[order[1]], atol=0.02)
    np.testing.assert_allclose(covariances_of(own)[order[0]], reference.covariances_[order[1]], atol=0.03)
    labels = joint_of(z, own).argmax(1), reference.predict(z)
    assert adjusted_rand_score(*labels) > 0.99


@pytest.mark.parametrize("shrinkage", [0.0, 2.0, math.inf])
def test_one_more_iteration_by_the_formula_changes_nothing(shrinkage: float) -> None:
    """Friedman 1989: S_k shrunk towards W, and both towards a sphere."""
    z, _ = overlapping()
    mixture = gaussian_mixture(torch.from_numpy(z), 3, shrinkage=shrinkage, max_iter=2000)
    weights, means, covariances = mixture.log_weights.exp().numpy(), mixture.means.numpy(), covariances_of(mixture)
    density = np.stack(
        [w * multivariate_normal(m, c).pdf(z) for w, m, c in zip(weights, means, covariances, strict=True)], axis=1
    )
    r = density / density.sum(1, keepdims=True)
    sizes = r.sum(0)
    own = [((z - m).T * r[:, k]) @ (z - m) / sizes[k] for k, m in enumerate(means)]
    within = sum(size * s for size, s in zip(sizes, own, strict=True)) / len(z)
    share = np.zeros(3) if math.isinf(shrinkage) else sizes / (sizes + shrinkage * len(z) / 3)
    g = 0.1 if math.isinf(shrinkage) else 0.1 * shrinkage / (1 + shrinkage)
    sphere = g * np.trace(within) / 2 * np.eye(2)
    expected = np.stack([(1 - g) * (a * s + (1 - a) * within) + sphere for a, s in zip(share, own, strict=True)])
    np.testing.assert_allclose(r.T @ z / sizes[:, None], means, atol=0.02)
    np.testing.assert_allclose(sizes / len(z), weights, atol=2e-3)
    np.testing.assert_allclose(expected, covariances, atol=0.02)
    assert np.log(density.sum(1)).mean() == pytest.approx(mixture.log_likelihood, abs=1e-9)


@pytest.mark.parametrize("n_constant", [1, 3, 8])
def test_directions_without_variance_do_not_matter(n_constant: int) -> None:
    """One-hot inputs of a category have such a direction; components of unlike sizes must all stay."""
    z, _ = overlapping()
    wide = np.concatenate([z, np.zeros((len(z), n_constant))], axis=1)
    labels = joint_of(wide, gaussian_mixture(torch.from_numpy(wide), 3)).argmax(1)
    assert np.bincount(labels, minlength=3).min() > 30
    without = joint_of(z, gaussian_mixture(torch.from_numpy(z), 3)).argmax(1)
    assert adjusted_rand_score(without, labels) > 0.9


def test_infinite_shrinkage_gives_one_shape() -> None:
    z, _ = overlapping()
    covariances = covariances_of(gaussian_mixture(torch.from_numpy(z), 3, shrinkage=math.inf))
    np.testing.assert_allclose(covariances, np.broadcast_to(covariances[:1], covariances.shape), rtol=1e-9)


def test_long_clusters_that_k_means_cuts_are_found() -> None:
    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    assert adjusted_rand_score(y, joint_of(x, gaussian_mixture(torch.from_numpy(x), 3)).argmax(1)) > 0.85


@pytest.mark.parametrize("seed", range(4))
def test_a_flag_does_not_make_the_clusters(seed: int) -> None:
    """Three groups, and a flag that shifts all inputs in each of them, as the sex of penguins does."""
    rng = np.random.default_rng(seed)
    y, flag = rng.choice(3, 300, p=(0.45, 0.35, 0.2)), rng.integers(0, 2, 300) - 0.5
    centers = 4.5 * np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.3, 0.0], [0.0, 0.6, 0.0, 0.5]])
    x = centers[y] + 1.5 * flag[:, None] + 0.7 * rng.normal(size=(300, 4))
    z = np.column_stack([x / x.std(0), flag * 2**0.5])
    assert adjusted_rand_score(y, joint_of(z, gaussian_mixture(torch.from_numpy(z), 3)).argmax(1)) > 0.95


def test_a_large_set_goes_on_from_a_sample_with_all_rows() -> None:
    z, _ = overlapping(n=30_000)
    mixture = gaussian_mixture(torch.from_numpy(z), 3, shrinkage=0.0)
    reference = Reference(3, n_init=3, tol=1e-6, max_iter=500, random_state=0).fit(z)
    assert mixture.log_likelihood == pytest.approx(reference.score(z), abs=1e-3)
    assert adjusted_rand_score(reference.predict(z), joint_of(z, mixture).argmax(1)) > 0.98


def test_units_and_places_do_not_matter() -> None:
    z, _ = overlapping()
    labels = [joint_of(part, gaussian_mixture(torch.from_numpy(part), 3)).argmax(1) for part in (z, 1e-4 * z + 7)]
    assert adjusted_rand_score(*labels) > 0.99


@pytest.mark.parametrize(
    "z", [np.zeros((9, 2)), np.repeat(np.eye(3), 5, axis=0), np.ones((4, 3)) * np.arange(4)[:, None]]
)
def test_degenerate_samples_have_finite_mixtures(z: Array) -> None:
    mixture = gaussian_mixture(torch.from_numpy(z), 3)
    assert all(bool(part.isfinite().all()) for part in mixture[:3])
    assert math.isfinite(mixture.log_likelihood)
    assert np.isfinite(joint_of(z, mixture)).all()


def test_the_same_random_numbers_give_the_same_mixture() -> None:
    z = torch.from_numpy(overlapping()[0])
    mixtures = [gaussian_mixture(z, 3, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(mixtures[0][:3], mixtures[1][:3], strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_clusters": 0}, "n_clusters=0 must lie between 1 and the number of samples, 4"),
        ({"n_clusters": 5}, "n_clusters=5 must lie between 1 and the number of samples, 4"),
        ({"n_clusters": 2, "shrinkage": -1.0}, "shrinkage=-1.0 must not be negative"),
        ({"n_clusters": 2, "shrinkage": math.nan}, "shrinkage=nan must not be negative"),
    ],
)
def test_bad_arguments(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gaussian_mixture(torch.zeros(4, 2), **arguments)  # type: ignore[arg-type]
