"""Tests of norms of input weights against NumPy, and of proximal operators against scipy.optimize and scikit-learn."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize
from sklearn.linear_model import Lasso, MultiTaskLasso, Ridge
from torch import Tensor

from lightning_dc import InputError
from lightning_dc.functional import (
    InputGroups,
    Norm,
    group_norms,
    group_penalty,
    project_to_bound,
    proximal_step,
    size_weights,
)

NORMS = get_args(Norm)
GROUPS = [[0], [3, 1], [2], [4, 5, 6]]
FACTORS = torch.tensor([0.5, 2.0, 1.0, 0.7], dtype=torch.float64)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def norm_of(members: np.ndarray, norm: str) -> float:
    """Compute the definition of a norm for the weights of one group."""
    flat = members.ravel()
    if norm == "ridge":
        return float((flat**2).sum())
    return float(np.linalg.norm(flat, {"l1": 1, "l21": 2, "l1inf": np.inf}[norm]))


def penalty_of(weight: np.ndarray, norm: str, factors: np.ndarray) -> float:
    return sum(factor * norm_of(weight[:, group], norm) for group, factor in zip(GROUPS, factors, strict=True))


def numerical_step(weight: np.ndarray, norm: str, strength: float, factors: np.ndarray) -> np.ndarray:
    """Minimise the definition of the proximal operator by scipy, with one more variable for the norm of each group.

    The problem is to minimise |v - w|^2 / 2 + strength * factors @ t subject to norm(v_g) <= t_g, which is smooth.
    """
    n_hidden, n_inputs = weight.shape
    start = np.concatenate([weight.ravel(), [norm_of(weight[:, group], norm) + 0.1 for group in GROUPS]])
    size = weight.size

    def objective(u: np.ndarray) -> float:
        return 0.5 * float(((u[:size] - weight.ravel()) ** 2).sum()) + strength * float(factors @ u[size:])

    def gradient(u: np.ndarray) -> np.ndarray:
        return np.concatenate([u[:size] - weight.ravel(), strength * factors])

    constraints: list[Any] = []
    places = np.arange(size).reshape(n_hidden, n_inputs)
    if norm == "l1inf":
        rows = []
        for g, group in enumerate(GROUPS):
            for place in places[:, group].ravel():
                for sign in (-1, 1):
                    row = np.zeros(len(start))
                    row[place], row[size + g] = sign, -1
                    rows.append(row)
        constraints.append(LinearConstraint(np.array(rows), -np.inf, 0))
    else:
        for g, group in enumerate(GROUPS):
            own = places[:, group].ravel()

            def slack(u: np.ndarray, own: np.ndarray = own, g: int = g) -> float:
                return u[size + g] - np.sqrt((u[own] ** 2).sum() + 1e-18)

            def slope(u: np.ndarray, own: np.ndarray = own, g: int = g) -> np.ndarray:
                row = np.zeros(len(u))
                row[own], row[size + g] = -u[own] / np.sqrt((u[own] ** 2).sum() + 1e-18), 1
                return row

            constraints.append(NonlinearConstraint(slack, 0, np.inf, jac=slope))
    found = minimize(
        objective,
        start,
        jac=gradient,
        method="SLSQP",
        constraints=constraints,
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    return found.x[:size].reshape(weight.shape)


def separable_step(weight: np.ndarray, norm: str, strength: float, factors: np.ndarray) -> np.ndarray:
    """Compare with the minimum of the definition of ``l1`` and ``ridge``, found weight by weight."""
    own = np.empty(weight.shape[1])
    for group, factor in zip(GROUPS, factors, strict=True):
        own[group] = factor
    power = {"l1": 1, "ridge": 2}[norm]
    result = np.empty_like(weight)
    for (i, j), w in np.ndenumerate(weight):
        bound = abs(w) + 1
        found = minimize(
            lambda v, w=w, j=j: 0.5 * (v[0] - w) ** 2 + strength * own[j] * abs(v[0]) ** power,
            [0.3 * w],
            method="Nelder-Mead",
            bounds=[(-bound, bound)],
            options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 2000},
        )
        result[i, j] = found.x[0]
    return result


@pytest.mark.parametrize("norm", NORMS)
def test_norms_and_penalty_are_their_definition(norm: Norm) -> None:
    weight, groups = random(3, 7), InputGroups.of(GROUPS, 7)
    expected = [norm_of(weight.numpy()[:, group], norm) for group in GROUPS]
    np.testing.assert_allclose(group_norms(weight, norm, groups).numpy(), expected, rtol=1e-12)
    penalty = group_penalty(weight, norm, groups, FACTORS)
    assert penalty.item() == pytest.approx(penalty_of(weight.numpy(), norm, FACTORS.numpy()), rel=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_penalty_has_the_right_gradient_and_none_at_zero(norm: Norm) -> None:
    weight, groups = random(3, 7).requires_grad_(), InputGroups.of(GROUPS, 7)
    assert torch.autograd.gradcheck(lambda w: group_penalty(w, norm, groups, FACTORS), weight)
    zero = torch.zeros(3, 7, requires_grad=True)
    group_penalty(zero, norm, groups).backward()
    assert zero.grad.tolist() == torch.zeros(3, 7).tolist()


@pytest.mark.parametrize("strength", [0.05, 0.6, 1.5])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", [0, 1])
def test_proximal_step_is_the_minimum_that_scipy_finds(norm: Norm, strength: float, seed: int) -> None:
    weight, groups = random(3, 7, seed=seed), InputGroups.of(GROUPS, 7)
    factors = FACTORS.numpy()
    ours = proximal_step(weight, norm, groups, strength, FACTORS).numpy()
    search = numerical_step if norm in ("l21", "l1inf") else separable_step
    theirs = search(weight.numpy(), norm, strength, factors)

    def objective(v: np.ndarray) -> float:
        return 0.5 * float(((v - weight.numpy()) ** 2).sum()) + strength * penalty_of(v, norm, factors)

    assert objective(ours) <= objective(theirs) + 1e-12
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


@given(
    st.integers(0, 10_000), st.sampled_from(NORMS), st.floats(0.0, 3.0), st.sampled_from([torch.float32, torch.float64])
)
@settings(deadline=None, max_examples=200)
def test_no_other_weights_are_better(seed: int, norm: Norm, strength: float, dtype: torch.dtype) -> None:
    """The objective is strongly convex, so it rises from its minimum in every direction."""
    groups, weight = InputGroups.of(GROUPS, 7), random(3, 7, seed=seed).to(dtype).round(decimals=1)  # with ties
    best = proximal_step(weight, norm, groups, strength, FACTORS)
    wide = weight.double()

    def objective(v: Tensor) -> float:
        return float(0.5 * (v - wide).square().sum() + strength * group_penalty(v, norm, groups, FACTORS))

    floor = objective(best.double())
    for scale in (1e-3, 1e-1, 1.0):
        other = best.double() + scale * random(3, 7, seed=seed + 1)
        distance = float((other - best.double()).square().sum())
        assert objective(other) >= floor + 0.5 * distance - (1e-9 if dtype == torch.float64 else 1e-4)


@pytest.mark.parametrize(("norm", "whole_groups"), [("l1", False), ("l21", True), ("l1inf", True)])
def test_zeros_are_exact(norm: Norm, whole_groups: bool) -> None:
    groups, weight = InputGroups.of(GROUPS, 7), random(3, 7).float()
    weight[:, [1, 3]] *= 0.01
    weight[:, 2] = 0
    shrunk = proximal_step(weight, norm, groups, 0.2)
    assert int((shrunk[:, [1, 2, 3]] != 0).sum()) == 0
    assert bool((shrunk[:, [4, 5, 6]] != 0).any())
    zeros_in_columns = (shrunk[:, [0, 4, 5, 6]] == 0).any()
    assert not (whole_groups and zeros_in_columns)
    assert torch.equal(proximal_step(weight, norm, groups, 0.0), weight)
    assert not proximal_step(weight, norm, groups, 1e30).any()


def test_ridge_shrinks_to_no_zero() -> None:
    weight, groups = random(3, 7), InputGroups.of(GROUPS, 7)
    torch.testing.assert_close(proximal_step(weight, "ridge", groups, 2.0), weight / 5)


def test_l1inf_is_the_weights_less_their_projection_onto_the_l1_ball() -> None:
    """Project by sorting (Duchi et al. 2008), one input after the other."""
    weight, groups, strength = random(64, 50).float(), InputGroups.of(None, 50), 3.0
    ours = proximal_step(weight, "l1inf", groups, strength).double().numpy()
    for column, found in zip(weight.double().numpy().T, ours.T, strict=True):
        u = np.sort(np.abs(column))[::-1]
        excess = np.cumsum(u) - strength
        last = np.nonzero(u * np.arange(1, 65) > excess)[0][-1]
        projection = np.sign(column) * np.maximum(np.abs(column) - excess[last] / (last + 1), 0)
        np.testing.assert_allclose(found, column - projection, atol=1e-5)


def test_projection_to_a_bound_is_the_nearest_weights_within_it() -> None:
    weight = random(3, 4)
    found = minimize(
        lambda v: ((v - weight.numpy().ravel()) ** 2).sum(), np.zeros(12), bounds=[(-0.5, 0.5)] * 12, tol=1e-12
    )
    projected = project_to_bound(weight, 0.5)
    np.testing.assert_allclose(projected.numpy().ravel(), found.x, atol=1e-6)
    assert projected.abs().max().item() == 0.5


def descend(x: np.ndarray, y: np.ndarray, norm: Norm, strength: float) -> np.ndarray:
    """Run accelerated proximal gradient descent (Beck and Teboulle 2009) on |y - x W'|^2 / 2 + strength * penalty."""
    inputs, outputs = torch.from_numpy(x), torch.from_numpy(y)
    groups = InputGroups.of(None, x.shape[1])
    eta = 1.0 / float(torch.linalg.matrix_norm(inputs, 2)) ** 2
    weight = ahead = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64)
    momentum = 1.0
    for _ in range(3000):
        gradient = (ahead @ inputs.T - outputs.T) @ inputs
        new = proximal_step(ahead - eta * gradient, norm, groups, eta * strength)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = new + (momentum - 1) / following * (new - weight)
        weight, momentum = new, following
    return weight.numpy()


@pytest.fixture
def regression() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x, truth = generator.normal(size=(80, 12)), generator.normal(size=(12, 3))
    truth[4:] = 0
    return x, x @ truth + 0.5 * generator.normal(size=(80, 3))


@pytest.mark.parametrize("alpha", [0.05, 0.5])
def test_descent_with_l1_is_sklearns_lasso(regression: tuple[np.ndarray, np.ndarray], alpha: float) -> None:
    x, y = regression
    theirs = Lasso(alpha=alpha, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y[:, :1]).coef_[None]
    ours = descend(x, y[:, :1], "l1", alpha * len(x))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_array_equal(ours == 0, theirs == 0)
    assert (ours == 0).any()


@pytest.mark.parametrize("alpha", [0.2, 0.8])
def test_descent_with_l21_is_sklearns_multi_task_lasso(regression: tuple[np.ndarray, np.ndarray], alpha: float) -> None:
    x, y = regression
    theirs = MultiTaskLasso(alpha=alpha, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    ours = descend(x, y, "l21", alpha * len(x))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_array_equal(ours == 0, theirs == 0)
    assert (ours == 0).all(0).any()


def test_descent_with_ridge_is_sklearns(regression: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = regression
    theirs = Ridge(alpha=3.0, fit_intercept=False).fit(x, y).coef_
    np.testing.assert_allclose(descend(x, y, "ridge", 1.5), theirs, atol=1e-8)


def test_weights_of_one_absolute_value_cost_the_same_in_groups_of_any_size() -> None:
    singles, grouped = InputGroups.of(None, 7), InputGroups.of(GROUPS, 7)
    weight = torch.full((1, 7), 0.5)
    for norm in NORMS:
        costs = [group_penalty(weight, norm, groups).item() for groups in (singles, grouped)]
        assert costs[0] == pytest.approx(costs[1])
    np.testing.assert_allclose(size_weights("l21", grouped).numpy(), np.sqrt([1, 2, 1, 3]), rtol=1e-6)


def test_steps_keep_the_precision_and_give_no_gradient() -> None:
    weight, groups = random(3, 7).float().requires_grad_(), InputGroups.of(GROUPS, 7)
    for norm in NORMS:
        step = proximal_step(weight, norm, groups, 0.1, FACTORS)
        assert step.dtype == torch.float32
        assert not step.requires_grad


@pytest.mark.parametrize("groups", [[[0, 1]], [[0], [1], [1, 2]], [[0], [1], [2], []], [[0], [1], [3]]])
def test_groups_that_are_no_partition_are_refused(groups: list[list[int]]) -> None:
    with pytest.raises(InputError, match=r"feature_groups has \d groups of \d inputs, but each of the 3 inputs"):
        InputGroups.of(groups, 3)


def test_an_unknown_norm_is_refused() -> None:
    unknown: Any = "l3"
    groups = InputGroups.of(None, 2)
    for call in (lambda: group_norms(torch.ones(1, 2), unknown, groups), lambda: size_weights(unknown, groups)):
        with pytest.raises(InputError, match="norm='l3' of the input weights is unknown; choose from l1, ridge, l21,"):
            call()
