from __future__ import annotations

import pytest

from lightning_dc import InputError, Phase, PhaseConfig
from lightning_dc.schedules import Linear, Progress


def test_length_in_steps_wins_over_epochs() -> None:
    assert Phase("a", PhaseConfig(max_epochs=3), ()).n_steps(10) == 30
    assert Phase("a", PhaseConfig(max_epochs=3, max_steps=7), ()).n_steps(10) == 7
    assert Phase("a", PhaseConfig(max_epochs=3, max_steps=0), ()).is_empty
    assert Phase("a", PhaseConfig(), ()).is_empty


def test_weights_are_numbers_or_schedules() -> None:
    phase = Phase("a", PhaseConfig(loss_weights={"kl": 0.1, "reconstruction": Linear(1.0, 0.0)}), ())
    assert phase.loss_weights(Progress(0, 10)) == {"kl": 0.1, "reconstruction": 1.0}
    assert phase.loss_weights(Progress(5, 10)) == {"kl": 0.1, "reconstruction": 0.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epochs": -1}, "max_epochs=-1"),
        ({"max_steps": -2}, "max_steps=-2"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"input_dropout": -0.1}, "input_dropout=-0.1"),
    ],
)
def test_bad_values(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PhaseConfig(**arguments)  # type: ignore[arg-type]
