from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lightning_dc import InputError
from lightning_dc.callbacks.interval import Interval

MODULE: Any = SimpleNamespace(steps_per_epoch=4)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"every_n_steps": 3}, [0, 3, 6, 9, 12, 15]),
        ({"every_n_steps": 1}, list(range(17))),
        ({"every_n_epochs": 1}, [0, 4, 8, 12, 16]),
        ({"every_n_epochs": 2}, [0, 8, 16]),
        ({}, []),
    ],
)
def test_steps_that_are_due(arguments: dict[str, int], expected: list[int]) -> None:
    interval = Interval(**arguments)
    assert [step for step in range(17) if interval.is_due(MODULE, step)] == expected


def test_steps_and_epochs_together_are_refused() -> None:
    with pytest.raises(
        InputError, match="every_n_steps=3 and every_n_epochs=1 are both given; set one of them to null"
    ):
        Interval(3, 1)


@pytest.mark.parametrize("name", ["every_n_steps", "every_n_epochs"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_period_below_one_is_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{name}={value} between two refreshes must be at least 1"):
        Interval(**{name: value})
