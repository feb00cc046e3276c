"""Tests of the partial likelihood against lifelines and scikit-survival."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from sksurv.linear_model.coxph import CoxPHOptimizer
from torch import Tensor

from lightning_dc.functional import Ties, cox_loss

TIES = get_args(Ties)


def survival(n: int, seed: int, *, distinct: int | None, censored: float) -> tuple[Tensor, Tensor, Tensor]:
    """Draw log risks, times with ``distinct`` different values, and events."""
    random = np.random.default_rng(seed)
    eta = torch.from_numpy(random.normal(size=n))
    time = random.exponential(size=n) if distinct is None else random.integers(1, distinct + 1, size=n).astype(float)
    return eta, torch.from_numpy(time), torch.from_numpy((random.random(n) >= censored).astype(float))


def direct(eta: np.ndarray, time: np.ndarray, event: np.ndarray, ties: str) -> float:
    """Compute the published formula, one time after the other."""
    total = 0.0
    for t in np.unique(time[event == 1]):
        dying, at_risk = (time == t) & (event == 1), np.exp(eta[time >= t]).sum()
        tied, d = np.exp(eta[dying]).sum(), int(dying.sum())
        total += eta[dying].sum()
        total -= sum(np.log(at_risk - (k / d * tied if ties == "efron" else 0.0)) for k in range(d))
    return -total


@pytest.mark.parametrize("distinct", [None, 40, 4, 1])
@pytest.mark.parametrize("censored", [0.0, 0.5, 0.9])
def test_the_loss_is_the_log_likelihood_of_lifelines(distinct: int | None, censored: float) -> None:
    """The covariate is the log risk, and the coefficient is one that lifelines has fitted."""
    eta, time, event = survival(120, 0, distinct=distinct, censored=censored)
    frame = pd.DataFrame({"x": eta.numpy(), "time": time.numpy(), "event": event.numpy()})
    fitted = CoxPHFitter().fit(frame, "time", "event")  # Efron
    ours = cox_loss(eta * fitted.params_["x"], time, event, "efron").sum().item()
    assert ours == pytest.approx(-fitted.log_likelihood_, rel=1e-9)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("distinct", [None, 40, 4])
def test_the_loss_is_that_of_scikit_survival(ties: Ties, distinct: int | None) -> None:
    """Scikit-survival also has the form of Breslow, which lifelines does not have."""
    eta, time, event = survival(120, 4, distinct=distinct, censored=0.5)
    peer = CoxPHOptimizer(eta.numpy()[:, None], event.numpy() == 1, time.numpy(), np.zeros(1), ties)
    assert cox_loss(0.7 * eta, time, event, ties).mean().item() == pytest.approx(
        float(peer.nlog_likelihood(np.array([0.7]))), rel=1e-10
    )


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("distinct", [None, 30, 3, 1])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_loss_is_the_formula(ties: Ties, distinct: int | None, seed: int) -> None:
    eta, time, event = survival(100, seed, distinct=distinct, censored=0.4)
    ours = cox_loss(eta, time, event, ties)
    assert ours.sum().item() == pytest.approx(direct(eta.numpy(), time.numpy(), event.numpy(), ties), rel=1e-10)
    assert not ours[event == 0].any()


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("distinct", [None, 3])
def test_gradient(ties: Ties, distinct: int | None) -> None:
    eta, time, event = survival(14, 3, distinct=distinct, censored=0.4)
    time[2], event[5] = torch.nan, torch.nan
    assert torch.autograd.gradcheck(lambda value: cox_loss(value, time, event, ties), eta.requires_grad_())


@pytest.mark.parametrize("ties", TIES)
def test_missing_rows_are_left_out(ties: Ties) -> None:
    eta, time, event = survival(60, 1, distinct=9, censored=0.3)
    missing = torch.zeros(60, dtype=torch.bool)
    missing[[0, 7, 8, 30, 59]] = True
    holey_time, holey_event = time.clone(), event.clone()
    holey_time[[0, 7, 59]] = torch.nan
    holey_event[[8, 30, 59]] = torch.nan
    ours = cox_loss(eta, holey_time, holey_event, ties)
    assert not ours[missing].any()
    torch.testing.assert_close(ours[~missing], cox_loss(eta[~missing], time[~missing], event[~missing], ties))


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(
    ("time", "event"),
    [([1.0, 2.0], [0.0, 0.0]), ([float("nan")] * 2, [1.0, 1.0]), ([1.0, 2.0], [float("nan")] * 2), ([], [])],
)
def test_without_an_event_loss_and_gradient_are_zero(ties: Ties, time: list[float], event: list[float]) -> None:
    eta = torch.full((len(time),), 3.0, requires_grad=True)
    loss = cox_loss(eta, torch.tensor(time), torch.tensor(event), ties)
    loss.sum().backward()
    assert loss.tolist() == [0.0] * len(time)
    assert eta.grad.tolist() == [0.0] * len(time)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_float32_neither_overflows_nor_loses_precision(ties: Ties, scale: float) -> None:
    eta, time, event = survival(500, 2, distinct=60, censored=0.4)
    eta = (eta * scale).float().requires_grad_()
    ours = cox_loss(eta, time.float(), event.float(), ties)
    wide = eta.detach().double().requires_grad_()
    exact = cox_loss(wide, time, event, ties)
    ours.sum().backward()
    exact.sum().backward()
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=1e-5 * scale)
    torch.testing.assert_close(eta.grad.double(), wide.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("ties", TIES)
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 8))
@settings(deadline=None, max_examples=60)
def test_the_order_of_the_rows_and_the_level_of_the_log_risk_do_not_matter(
    ties: Ties, seed: int, n: int, distinct: int
) -> None:
    eta, time, event = survival(n, seed, distinct=distinct, censored=0.4)
    loss = cox_loss(eta, time, event, ties)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(cox_loss(eta[order], time[order], event[order], ties), loss[order])
    torch.testing.assert_close(cox_loss(eta + 50.0, time * 7.0, event, ties), loss)
