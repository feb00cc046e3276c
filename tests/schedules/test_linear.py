"""Tests of Linear against torch.optim.lr_scheduler.LinearLR."""

from __future__ import annotations

import pytest
import torch

from lightning_dc.errors import InputError
from lightning_dc.schedules import Linear, Progress


@pytest.mark.parametrize(("start", "end"), [(0.1, 1.0), (1.0, 0.25)])
def test_a_ramp_of_a_given_length_equals_torchs(start: float, end: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, start, end, total_iters=8)
    ours = Linear(start, end, n_steps=8)
    for step in range(15):
        assert ours(Progress(step, 100)) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        theirs.step()


def test_a_ramp_without_a_length_takes_the_whole_phase() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, 0.5, 2.0 / 2.0, total_iters=20)
    for step in range(25):
        assert Linear(0.5, 1.0)(Progress(step, 20)) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        theirs.step()


def test_the_default_goes_from_zero_to_one() -> None:
    assert [Linear()(Progress(step, 4)) for step in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("n_steps", [0, -3])
def test_a_length_below_one_is_refused(n_steps: int) -> None:
    with pytest.raises(InputError, match=f"n_steps={n_steps}"):
        Linear(n_steps=n_steps)
