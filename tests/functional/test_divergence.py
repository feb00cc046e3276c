"""Tests of the losses of samples against torch.nn.functional and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch.nn import functional

from lightning_dc.functional import kl_divergence, mean_squared_error


@pytest.fixture
def distributions() -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(1)
    p, q = random.dirichlet(np.ones(6), 8), random.dirichlet(np.ones(6), 8)
    p[0] = [0, 0, 1, 0, 0, 0]
    return torch.from_numpy(p), torch.from_numpy(q)


def test_kl_divergence_equals_torchs(distributions: tuple[torch.Tensor, torch.Tensor]) -> None:
    p, q = distributions
    expected = functional.kl_div(q.log(), p, reduction="none").sum(1)
    torch.testing.assert_close(kl_divergence(p, q), expected, rtol=1e-12, atol=1e-14)


def test_kl_divergence_equals_scipys(distributions: tuple[torch.Tensor, torch.Tensor]) -> None:
    p, q = distributions
    expected = entropy(p.numpy(), q.numpy(), axis=1)
    np.testing.assert_allclose(kl_divergence(p, q).numpy(), expected, rtol=1e-12)


def test_kl_divergence_has_torchs_gradient(distributions: tuple[torch.Tensor, torch.Tensor]) -> None:
    p, q = distributions
    ours, theirs = q.clone().requires_grad_(), q.clone().requires_grad_()
    kl_divergence(p, ours).sum().backward()
    functional.kl_div(theirs.log(), p, reduction="sum").backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-14)


def test_kl_divergence_of_a_distribution_from_itself_is_zero(distributions: tuple[torch.Tensor, torch.Tensor]) -> None:
    p, q = distributions
    torch.testing.assert_close(kl_divergence(q, q), torch.zeros(len(q), dtype=q.dtype), rtol=0, atol=1e-15)
    assert (kl_divergence(p, q) > 0).all()


def test_kl_divergence_and_its_gradient_are_finite_where_an_assignment_underflowed_to_zero() -> None:
    q = torch.tensor([[1.0, 0.0]], requires_grad=True)
    divergence = kl_divergence(torch.tensor([[1.0, 0.0]]), q)
    divergence.sum().backward()
    assert divergence.tolist() == [0.0]
    assert q.grad.tolist() == [[-1.0, 0.0]]


@pytest.mark.parametrize("shape", [(5, 7), (5, 3, 4), (5, 1, 4, 4)])
def test_mean_squared_error_is_torchs_over_each_sample(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, x_hat = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    expected = torch.stack([functional.mse_loss(b, a) for a, b in zip(x, x_hat, strict=True)])
    torch.testing.assert_close(mean_squared_error(x, x_hat), expected)
