"""Tests of StepDecay against torch.optim.lr_scheduler.StepLR."""

from __future__ import annotations

import pytest
import torch

from lightning_dc.errors import InputError
from lightning_dc.schedules import Progress, StepDecay


@pytest.mark.parametrize(("every_n_steps", "factor"), [(3, 0.1), (1, 0.9), (5, 2.0)])
def test_the_factor_is_torchs(every_n_steps: int, factor: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.StepLR(optimizer, every_n_steps, factor)
    ours = StepDecay(every_n_steps, factor)
    for step in range(17):
        assert ours(Progress(step, 10)) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("every_n_steps", [0, -1])
def test_less_than_one_step_is_refused(every_n_steps: int) -> None:
    with pytest.raises(InputError, match=f"every_n_steps={every_n_steps}"):
        StepDecay(every_n_steps)
