"""Tests of the head of DEC against scipy's Student-t density."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import t

from lightning_dc.errors import InputError
from lightning_dc.heads import StudentTHead


def head_of(n_clusters: int = 4, latent_dim: int = 3, nu: float = 1.0) -> StudentTHead:
    head = StudentTHead(n_clusters, latent_dim, nu)
    with torch.no_grad():
        head.centroids.copy_(torch.randn(n_clusters, latent_dim, generator=torch.Generator().manual_seed(0)) * 2)
    return head


def expected(head: StudentTHead, z: torch.Tensor, nu: float) -> np.ndarray:
    density = t(nu).pdf(cdist(z.double().numpy(), head.centroids.detach().double().numpy()))
    return density / density.sum(1, keepdims=True)


@pytest.mark.parametrize("nu", [1.0, 2.5])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
def test_assignments_are_proportional_to_the_density(nu: float, dtype: torch.dtype, rtol: float) -> None:
    z = torch.randn(9, 3, generator=torch.Generator().manual_seed(1), dtype=dtype) * 3
    head = head_of(nu=nu)
    q = head(z)
    assert q.dtype == dtype
    np.testing.assert_allclose(q.detach().numpy(), expected(head, z, nu), rtol=rtol)


def test_assignments_are_float32_under_autocast() -> None:
    z = torch.randn(9, 3, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    head = head_of()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q = head(z)
    assert q.dtype == torch.float32
    np.testing.assert_allclose(q.detach().numpy(), expected(head, z.float(), 1.0), rtol=2e-5)


def test_centroids_are_the_only_parameter_and_receive_a_gradient() -> None:
    head = head_of()
    head(torch.ones(5, 3))[:, 0].sum().backward()
    assert [name for name, _ in head.named_parameters()] == ["centroids"]
    assert head.centroids.grad.abs().sum() > 0
    assert head.centroids.shape == (4, 3)


def test_centroids_that_coincide_share_alike() -> None:
    head = StudentTHead(4, 2)
    assert head(torch.tensor([[3.0, 4.0]])).tolist() == [[0.25] * 4]


@pytest.mark.parametrize("nu", [0.0, -1.0])
def test_degrees_of_freedom_that_are_not_positive_are_refused(nu: float) -> None:
    with pytest.raises(InputError, match=f"nu={nu} must be positive"):
        StudentTHead(3, 2, nu)


@pytest.mark.parametrize("n_clusters", [1, 0, -2])
def test_fewer_than_two_clusters_are_refused(n_clusters: int) -> None:
    with pytest.raises(InputError, match=f"n_clusters={n_clusters} must be at least 2"):
        StudentTHead(n_clusters, 2)
