"""Tests of Exponential against the ramp of the DeepType code."""

from __future__ import annotations

import math

import pytest

from lightning_dc.errors import InputError
from lightning_dc.schedules import Exponential, Progress


@pytest.mark.parametrize("step", [0, 1, 300, 5000])
def test_it_is_the_ramp_of_the_deeptype_code(step: int) -> None:
    ours = Exponential(end=0.006, time_constant=300)(Progress(step, 10_000))
    assert ours == pytest.approx(0.006 * (1 - math.exp(-step / 300)), abs=1e-15)


def test_it_goes_from_start_to_end() -> None:
    fall = Exponential(2.0, 1.0, time_constant=1)
    assert fall(Progress(0, 10)) == 2.0
    assert fall(Progress(60, 100)) == pytest.approx(1.0)


def test_a_time_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InputError, match="time_constant=0"):
        Exponential(time_constant=0)
