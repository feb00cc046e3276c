"""Tests of supervised losses against scikit-learn and torch, with missing targets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error
from torch import Tensor

from lightning_dc import InputError
from lightning_dc.functional import class_loss, known_targets, multilabel_loss, value_loss

NAN = float("nan")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_class_loss_is_sklearns_log_loss_of_the_known_classes() -> None:
    logits, targets = random(9, 4), torch.tensor([0, 3, -1, 2, 2, -1, 1, 0, 3])
    losses, known = class_loss(logits, targets), targets >= 0
    assert losses[~known].tolist() == [0.0, 0.0]
    expected = log_loss(targets[known], logits.softmax(1)[known], labels=range(4))
    assert losses[known].mean().item() == pytest.approx(expected, rel=1e-10)


def test_multilabel_loss_is_sklearns_log_loss_of_the_known_labels() -> None:
    logits = random(4, 3)
    targets = torch.tensor([[0.0, 1.0, 1.0], [NAN, 1.0, NAN], [NAN, NAN, NAN], [0.0, NAN, 1.0]], dtype=torch.float64)
    losses = multilabel_loss(logits, targets)
    assert losses[2].item() == 0.0
    for i in (0, 1, 3):
        known = ~targets[i].isnan()
        expected = log_loss(targets[i][known], logits[i].sigmoid()[known], labels=[0, 1])
        assert losses[i].item() == pytest.approx(expected, rel=1e-10)


def test_value_loss_is_sklearns_squared_error_of_the_known_values() -> None:
    values, targets = random(4, 3), random(4, 3, seed=1)
    targets[0, 1], targets[2], targets[3, 1:] = NAN, NAN, NAN
    losses = value_loss(values, targets)
    assert losses[2].item() == 0.0
    for i in (0, 1, 3):
        known = ~targets[i].isnan()
        expected = mean_squared_error(targets[i][known], values[i][known])
        assert losses[i].item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("loss", [multilabel_loss, value_loss])
def test_gradient_of_a_missing_target_is_zero(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    outputs, targets = random(4, 3).requires_grad_(), torch.ones(4, 3)
    targets[0, 1], targets[2] = NAN, NAN
    assert torch.autograd.gradcheck(lambda values: loss(values, targets), outputs)
    loss(outputs, targets).sum().backward()
    assert torch.equal(outputs.grad == 0, targets.isnan())


def test_gradient_of_a_missing_class_is_zero() -> None:
    logits = random(3, 4).requires_grad_()
    class_loss(logits, torch.tensor([-1, 2, -1])).sum().backward()
    np.testing.assert_array_equal((logits.grad != 0).any(1).numpy(), [False, True, False])


def test_known_targets() -> None:
    holes = torch.tensor([[1.0, 0.0], [NAN, 1.0], [NAN, NAN]])
    assert known_targets(torch.tensor([-1, 0, 5]), "class").tolist() == [False, True, True]
    assert known_targets(holes, "multilabel").tolist() == [True, True, False]
    assert known_targets(holes, "value").tolist() == [True, True, False]
    assert known_targets(holes, "survival").tolist() == [True, False, False]


@pytest.mark.parametrize("loss", [multilabel_loss, value_loss])
def test_another_number_of_outputs_is_refused(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(InputError, match=r"targets have shape \(4, 3\), but the output of the task \(4, 1\)"):
        loss(random(4, 1), random(4, 3))
