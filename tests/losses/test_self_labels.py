"""Self-labelling by confident samples and by balanced labels, against plain loops and an assignment problem."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lightning_dc import InputError
from lightning_dc.functional import balanced_assignment
from lightning_dc.losses import ConfidentLabels, SinkhornLabels


def tables(seed: int, sharpness: float = 3.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [(sharpness * torch.randn(12, k, generator=generator, dtype=torch.float64)).log_softmax(1) for k in (3, 4)]


def test_confident_labels_are_a_balanced_cross_entropy_of_the_clear_samples() -> None:
    weak, strong = tables(0), tables(1)
    expected = []
    for first, second in zip(weak, strong, strict=True):
        q, losses = first.exp().numpy(), -second.numpy()
        clear = [i for i in range(12) if q[i].max() > 0.8]
        clusters = {int(q[i].argmax()) for i in clear}
        means = [np.mean([losses[i, k] for i in clear if q[i].argmax() == k]) for k in clusters]
        expected.append(np.mean(means))
    found = ConfidentLabels(0.8)(weak, strong)
    assert math.isclose(float(found.mean()), float(np.mean(expected)), rel_tol=1e-9)


def test_no_clear_sample_has_no_loss_and_labels_have_no_gradient() -> None:
    weak = [torch.full((5, 3), 1 / 3).log().requires_grad_()]
    strong = [torch.randn(5, 3).log_softmax(1).requires_grad_()]
    loss = ConfidentLabels(0.9)(weak, strong)
    assert torch.equal(loss.detach(), torch.zeros(5))
    loss.sum().backward()
    assert weak[0].grad is None


@pytest.mark.parametrize("shares", [None, [0.5, 0.25, 0.25]])
def test_balanced_labels_have_the_shares_that_were_asked_for(shares: list[float] | None) -> None:
    scores = tables(2)[0]
    given = None if shares is None else torch.tensor(shares, dtype=torch.float64)
    plan = balanced_assignment(scores, 0.5, 200, given)
    np.testing.assert_allclose(plan.sum(1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(plan.mean(0), [1 / 3] * 3 if shares is None else shares, atol=1e-6)


def test_hard_balanced_labels_solve_the_assignment_problem() -> None:
    scores = tables(3)[0]
    plan = balanced_assignment(scores, 0.02, 3000)
    rows, columns = linear_sum_assignment(-np.repeat(scores.numpy(), 4, axis=1))
    assert np.array_equal(plan.argmax(1).numpy()[rows], columns // 4)


def test_sinkhorn_labels_are_a_cross_entropy_with_the_balanced_labels() -> None:
    weak, strong = tables(4), tables(5)
    pairs = zip(weak, strong, strict=True)
    expected = np.mean([-(balanced_assignment(a, 0.1, 100) * b).sum(1).numpy() for a, b in pairs], axis=0)
    np.testing.assert_allclose(SinkhornLabels()(weak, strong), expected, rtol=1e-12)
    uniform = balanced_assignment(torch.zeros(6, 4), 0.1, 1)
    np.testing.assert_allclose(uniform, 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConfidentLabels(1.0), "threshold=1.0 of ConfidentLabels must lie in"),
        (lambda: SinkhornLabels(0.0), "epsilon=0.0 of SinkhornLabels must be positive"),
        (lambda: SinkhornLabels(n_iterations=0), "n_iterations=0 of SinkhornLabels must be at least 1"),
        (lambda: SinkhornLabels(shares=[0.5, 0.4]), "must be positive and sum to 1"),
        (lambda: SinkhornLabels(shares=[0.5, 0.5]).check_clusters(3), "are 2 numbers, but n_clusters=3"),
    ],
)
def test_bad_arguments(build: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()  # type: ignore[operator]
