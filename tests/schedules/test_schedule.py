"""Tests of the progress of a phase."""

from __future__ import annotations

import pytest

from lightning_dc.schedules import Progress


@pytest.mark.parametrize(
    ("step", "n_steps", "share"), [(0, 10, 0.0), (3, 4, 0.75), (10, 10, 1.0), (12, 10, 1.0), (0, 0, 0.0), (1, 0, 1.0)]
)
def test_share_is_between_zero_and_one(step: int, n_steps: int, share: float) -> None:
    assert Progress(step, n_steps).share == share
