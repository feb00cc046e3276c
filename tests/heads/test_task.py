"""The head of a supervised task, and when it has a bias."""

from __future__ import annotations

import pytest
import torch

from lightning_dc import DeepType, TargetSpec
from lightning_dc.functional import cox_loss
from lightning_dc.heads import TaskHead


def test_the_bias_can_be_left_out() -> None:
    features = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with_bias, without = TaskHead(3, 2), TaskHead(3, 2, bias=False)
    without.linear.load_state_dict({"weight": with_bias.linear.weight})
    assert set(dict(without.named_parameters())) == {"linear.weight"}
    torch.testing.assert_close(without(features) + with_bias.linear.bias, with_bias(features))


def test_the_partial_likelihood_has_no_gradient_for_a_bias() -> None:
    random = torch.Generator().manual_seed(0)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    eta = torch.randn(50, generator=random, dtype=torch.float64)
    time, event = torch.rand(50, generator=random), (torch.rand(50, generator=random) < 0.7).float()
    cox_loss(eta + bias, time, event).sum().backward()
    assert bias.grad.abs().item() < 1e-12


@pytest.mark.parametrize("kind", ["class", "multilabel", "value", "survival"])
def test_only_survival_has_no_bias(kind: str) -> None:
    model = DeepType((4,), TargetSpec(kind, ("time", "event")), 3)
    head = model.model.require_task_head()
    assert (head.linear.bias is None) == (kind == "survival")
