"""Densities of Gaussian mixtures, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from lightning_dc.functional import gaussian, gaussian_mixture_log_joint


@pytest.mark.parametrize("most_elements", [1, 1 << 24])
def test_log_joint_is_that_of_scipy(most_elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian, "_MOST_ELEMENTS", most_elements)  # rows one by one, or all at once
    rng = np.random.default_rng(0)
    z, means, weights = rng.normal(size=(7, 3)), rng.normal(size=(4, 3)), rng.dirichlet(np.ones(4))
    covariances = [a @ a.T + np.eye(3) for a in rng.normal(size=(4, 3, 3))]
    factors = np.stack([np.linalg.inv(np.linalg.cholesky(covariance)).T for covariance in covariances])
    expected = np.stack(
        [
            np.log(weight) + multivariate_normal(mean, covariance).logpdf(z)
            for weight, mean, covariance in zip(weights, means, covariances, strict=True)
        ],
        axis=1,
    )
    given = (torch.from_numpy(value) for value in (z, np.log(weights), means, factors))
    np.testing.assert_allclose(gaussian_mixture_log_joint(*given).numpy(), expected, rtol=1e-12)


def test_no_samples_have_no_densities() -> None:
    joint = gaussian_mixture_log_joint(
        torch.zeros(0, 2), torch.zeros(3), torch.zeros(3, 2), torch.eye(2).repeat(3, 1, 1)
    )
    assert joint.shape == (0, 3)
