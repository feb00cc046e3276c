"""The balance term, against SciPy's divergence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy, zipf
from torch import Tensor

from lightning_dc import SCAN, InputError, PhaseConfig
from lightning_dc.functional import zipf_shares
from lightning_dc.losses import Balance


def log_assignments(n_clusters: int = 4, seed: int = 0) -> Tensor:
    logits = torch.randn(50, n_clusters, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (2 * logits + torch.arange(n_clusters)).log_softmax(1)


def test_it_is_the_divergence_from_equal_shares() -> None:
    log_q = log_assignments()
    g = log_q.exp().mean(0).numpy()
    assert math.isclose(float(Balance()([log_q])), entropy(g, np.full(4, 0.25)), rel_tol=1e-9)
    heads = [log_q, log_assignments(9, seed=1)]
    expected = np.mean([entropy(one.exp().mean(0), np.full(one.shape[1], 1 / one.shape[1])) for one in heads])
    assert math.isclose(float(Balance()(heads)), expected, rel_tol=1e-9)


def test_zipf_shares_are_those_of_scipy() -> None:
    assert math.isclose(float(zipf_shares(10, 1.0)[0]), 0.341417, abs_tol=1e-6)
    powers = zipf.pmf(np.arange(1, 8), 2.0)
    np.testing.assert_allclose(zipf_shares(7, 2.0), powers / powers.sum(), rtol=1e-9)
    assert torch.equal(zipf_shares(4, 0.0), torch.full((4,), 0.25, dtype=torch.float64))


@pytest.mark.parametrize(
    ("balance", "shares"), [({"zipf": 1.5}, None), ({"shares": [0.1, 0.2, 0.3, 0.4]}, [0.1, 0.2, 0.3, 0.4])]
)
@pytest.mark.parametrize("in_order", [True, False])
def test_given_shares(balance: dict[str, float], shares: list[float] | None, in_order: bool) -> None:
    log_q = log_assignments()
    g = log_q.exp().mean(0).numpy()
    expected = np.array(shares) if shares else zipf_shares(4, 1.5).numpy()
    if not in_order:
        g, expected = np.sort(g), np.sort(expected)
    found = Balance(**balance, in_order=in_order)([log_q])  # type: ignore[arg-type]
    assert math.isclose(float(found), entropy(g, expected), rel_tol=1e-6)


def test_the_limits_and_the_gradient() -> None:
    balanced = torch.eye(5).clamp_min(1e-30).log()
    assert math.isclose(float(Balance()([balanced])), 0.0, abs_tol=1e-6)
    collapsed = balanced[:1].expand(20, 5)
    assert math.isclose(float(Balance()([collapsed])), math.log(5), rel_tol=1e-6)
    log_q = torch.full((20, 5), 0.2).log().requires_grad_()
    Balance()([log_q]).backward()
    assert log_q.grad is not None
    assert float((log_q.grad - log_q.grad.mean()).abs().max()) < 1e-7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shares": [0.5, 0.6]}, "must be positive and sum to 1"),
        ({"shares": [1.0, 0.0]}, "must be positive and sum to 1"),
        ({"shares": []}, "must be positive and sum to 1"),
        ({"shares": [0.5, 0.5], "zipf": 1.0}, "are both given"),
        ({"zipf": -1.0}, "zipf=-1.0 of Balance must not be negative"),
    ],
)
def test_bad_shares(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Balance(**arguments)  # type: ignore[arg-type]


def test_shares_of_another_number_of_clusters_are_refused_before_training() -> None:
    consistency = PhaseConfig(max_epochs=1, loss_weights={"consistency": 1.0, "shares": 1.0})
    with pytest.raises(InputError, match="shares of Balance are 2 numbers, but n_clusters=3"):
        SCAN((1, 8, 8), 3, consistency=consistency, extra_losses={"shares": Balance([0.5, 0.5])})
