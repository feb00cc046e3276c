"""Tests of the probability that a sample keeps its cluster."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize

from lightning_dc.reports.stability_model import StabilityModel, fit_stability


def draw(n_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return margins, clusters and what is kept, by a slope of 3 and ceilings of 0.95 and 0.6."""
    random = np.random.default_rng(0)
    margins, labels = random.exponential(size=n_samples), random.integers(2, size=n_samples)
    p = np.array([0.95, 0.6])[labels] / (1 + np.exp(-3 * margins))
    return margins, labels, random.uniform(size=n_samples) < p


def test_known_parameters_are_found_again() -> None:
    margins, labels, kept = map(torch.from_numpy, draw(100_000))
    model = fit_stability(margins, labels, kept, 2)
    assert abs(model.slope - 3) < 0.15
    np.testing.assert_allclose(model.ceilings, [0.95, 0.6], atol=0.01)


def test_the_likelihood_is_that_of_another_optimizer() -> None:
    margins, labels, kept = draw(500)

    def loss(parameters: np.ndarray) -> float:
        ceilings = 1 / (1 + np.exp(-parameters[1:]))
        p = ceilings[labels] / (1 + np.exp(-np.exp(parameters[0]) * margins))
        return -float(np.where(kept, np.log(p), np.log1p(-p)).mean())

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-8, "fatol": 1e-12})
    model = fit_stability(torch.from_numpy(margins), torch.from_numpy(labels), torch.from_numpy(kept), 2)
    own = np.array([np.log(model.slope), *torch.logit(model.ceilings).tolist()])
    assert abs(loss(own) - best.fun) < 1e-6
    p = model.probabilities(torch.from_numpy(margins), torch.from_numpy(labels))
    assert p.dtype == torch.float32
    np.testing.assert_allclose(p.double().mean(), kept.mean(), atol=0.03)


def test_probabilities_follow_the_formula() -> None:
    model = StabilityModel(2.0, torch.tensor([1.0, 0.5], dtype=torch.float64))
    p = model.probabilities(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0, 1, 1], dtype=torch.int32))
    np.testing.assert_allclose(p, [0.5, 0.25, 0.5 / (1 + np.exp(-2))], rtol=1e-6)


def test_samples_that_are_always_kept_are_certain() -> None:
    margins, labels = torch.linspace(0.1, 1, 100), torch.arange(100) % 2
    model = fit_stability(margins, labels, torch.ones(100), 3)
    assert float(model.probabilities(margins, labels).min()) > 0.99
    assert bool(model.ceilings.isfinite().all())


def test_margins_of_zero_do_not_fail() -> None:
    model = fit_stability(torch.zeros(10), torch.zeros(10), torch.full((10,), 0.4), 2)
    p = model.probabilities(torch.zeros(10), torch.zeros(10))
    np.testing.assert_allclose(p, 0.4, atol=1e-3)
