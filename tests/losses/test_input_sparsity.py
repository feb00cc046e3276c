"""Tests of the sparsity term."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lightning_dc import InputError
from lightning_dc.functional import InputGroups
from lightning_dc.losses import InputSparsity

WEIGHT = torch.tensor([[3.0, 1.0, 0.0], [4.0, -2.0, 0.0]])


@pytest.mark.parametrize(("norm", "expected"), [("l1", 10.0), ("ridge", 30.0), ("l21", 5 + 5**0.5), ("l1inf", 6.0)])
@pytest.mark.parametrize("proximal", [False, True])
def test_it_is_the_norm_and_has_a_gradient_unless_it_is_proximal(norm: Any, expected: float, proximal: bool) -> None:
    weight = WEIGHT.clone().requires_grad_()
    term = InputSparsity(norm, InputGroups.of(None, 3), proximal)
    value = term(input_weight=weight)
    assert float(value.detach()) == pytest.approx(expected)
    assert value.requires_grad is not proximal


def test_groups_are_weighted() -> None:
    term = InputSparsity("l21", InputGroups.of([[0, 1], [2]], 3), False)
    assert float(term(input_weight=WEIGHT)) == pytest.approx(2**0.5 * 30**0.5)
    term.group_weights.copy_(torch.tensor([0.5, 7.0]))
    assert float(term(input_weight=WEIGHT)) == pytest.approx(0.5 * 30**0.5)
    assert term.scores(WEIGHT).tolist() == pytest.approx([30**0.5, 0.0])


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(InputError, match="norm='l0'"):
        InputSparsity("l0", InputGroups.of(None, 3), True)  # type: ignore[arg-type]
