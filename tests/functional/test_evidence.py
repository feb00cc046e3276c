"""Tests of the residuals of a model without inputs, and of the evidence of inputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lightning_dc.functional import InputGroups, input_evidence, null_residuals, permutations

NAN = float("nan")


def evidence(x: Tensor, residuals: Tensor, groups: InputGroups, n_permutations: int = 100) -> Tensor:
    """Compute the evidence from all samples at once, standardised by NumPy."""
    z = torch.as_tensor((x.numpy() - x.numpy().mean(0)) / x.numpy().std(0))
    outcomes = residuals[permutations(len(x), n_permutations, torch.Generator().manual_seed(0))]
    products = torch.stack([torch.einsum("nf,pnt->fpt", v, outcomes) for v in (z, z**2)])
    variances = torch.stack([v.var(0, correction=0) for v in (z, z**2)])
    return input_evidence(products, variances, len(x), groups)


def test_residuals_of_classes_are_indicators_less_their_shares() -> None:
    classes = torch.tensor([0, 1, 1, 2, -1])
    expected = np.eye(3)[[0, 1, 1, 2]]
    expected = (expected - expected.mean(0)) / expected.std(0)
    residuals = null_residuals(classes, "class").numpy()
    np.testing.assert_allclose(residuals[:4], expected, atol=1e-12)
    assert not residuals[4].any()


def test_residuals_of_values_are_standardised_and_zero_where_missing() -> None:
    values = torch.tensor([[1.0, 5.0], [2.0, NAN], [6.0, 5.0], [NAN, 5.0]])
    residuals = null_residuals(values, "value").numpy()
    known = np.array([1.0, 2.0, 6.0])
    np.testing.assert_allclose(residuals[:3, 0], (known - known.mean()) / known.std(), atol=1e-12)
    assert residuals[3, 0] == 0
    assert not residuals[:, 1].any()  # a constant column


def test_residuals_of_survival_times_are_the_martingale_residuals() -> None:
    """Martingale residuals are the event minus the Nelson-Aalen estimate of the cumulative hazard at its time."""
    time = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    event = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    hazard = np.array([sum(event[j] / (time >= time[j]).sum() for j in range(6) if time[j] <= t) for t in time])
    expected = event - hazard
    residuals = null_residuals(torch.as_tensor(np.column_stack([time, event])), "survival")[:, 0].numpy()
    np.testing.assert_allclose(residuals, expected / expected.std(), atol=1e-12)


def test_evidence_is_a_ratio_to_what_permutations_give() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 5)), random.integers(0, 3, 60)
    x[:, 2] += y
    residuals = null_residuals(torch.as_tensor(y), "class")

    def statistics(rows: np.ndarray) -> np.ndarray:
        z = (x - x.mean(0)) / x.std(0)
        q = (z**2 - (z**2).mean(0)) / (z**2).std(0)
        each = ((z.T @ rows) ** 2).sum(1) + ((q.T @ rows) ** 2).sum(1)
        return np.sqrt(np.array([each[0] + each[3], each[1], each[2], each[4]]) / [2, 1, 1, 1] / 60)

    orders = torch.Generator().manual_seed(0)
    chance = [statistics(residuals.numpy()[torch.randperm(60, generator=orders).numpy()]).max() for _ in range(20)]
    expected = statistics(residuals.numpy()) / np.quantile(chance, 0.99)
    groups = InputGroups.of([[0, 3], [1], [2], [4]], 5)
    np.testing.assert_allclose(evidence(torch.as_tensor(x), residuals, groups, 20), expected, rtol=1e-10)
    assert expected.argmax() == 2


def test_noise_is_rarely_above_chance_and_a_difference_in_spread_is_seen() -> None:
    above = 0
    for seed in range(30):
        random = np.random.default_rng(seed)
        x, y = random.normal(size=(200, 50)), np.arange(200) % 2
        x[:, 0] *= 1 + 2 * y  # the classes differ in spread, but not in the mean
        found = evidence(torch.as_tensor(x), null_residuals(torch.as_tensor(y), "class"), InputGroups.of(None, 50))
        assert found[0] > 1.2
        above += int((found[1:] > 1).any())
    assert above <= 3


def test_a_constant_input_has_no_evidence() -> None:
    residuals = null_residuals(torch.arange(6) % 2, "class")
    products = torch.rand(2, 1, 3, 2, dtype=torch.float64)
    assert input_evidence(products, torch.zeros(2, 1).double(), len(residuals), InputGroups.of(None, 1)) == 0
