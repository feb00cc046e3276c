"""Tests of OneCycle against the class of the same name in torch.optim.lr_scheduler."""

from __future__ import annotations

import pytest
import torch

from lightning_dc.errors import InputError
from lightning_dc.schedules import OneCycle, Progress


@pytest.mark.parametrize(("n_steps", "warmup_steps"), [(40, 12), (41, 4), (100, 30)])
def test_the_learning_rate_is_torchs(n_steps: int, warmup_steps: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # torch counts the first and the last step of a cycle, so it has one more than our intervals
    pct_start = (warmup_steps + 1) / (n_steps + 1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=n_steps + 1, pct_start=pct_start, cycle_momentum=False
    )
    ours = OneCycle(warmup=warmup_steps / n_steps)
    for step in range(n_steps + 1):
        assert ours(Progress(step, n_steps)) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step < n_steps:
            theirs.step()


def test_without_warm_up_it_is_torchs_cosine_annealing() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=0.01)
    ours = OneCycle(warmup=0.0, end=0.01)
    for step in range(31):
        assert ours(Progress(step, 30)) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        theirs.step()


def test_a_warm_up_of_the_whole_phase_only_rises() -> None:
    values = [OneCycle(warmup=1.0, start=0.2)(Progress(step, 10)) for step in range(11)]
    assert values[0] == pytest.approx(0.2)
    assert values[-1] == pytest.approx(1.0)
    assert values == sorted(values)


@pytest.mark.parametrize("warmup", [-0.1, 1.1])
def test_a_warm_up_that_is_no_share_is_refused(warmup: float) -> None:
    with pytest.raises(InputError, match=f"warmup={warmup}"):
        OneCycle(warmup=warmup)
