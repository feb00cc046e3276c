"""Tests of the steps that are left of a fit, and of their time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest

from lightning_dc import PhaseConfig
from lightning_dc.reports.time_left import TimeLeft, steps_left
from lightning_dc.training import clustering_module
from tests.helpers.methods import RECONSTRUCTION, SGD, Blobs, dec, trainer


def test_nothing_is_known_before_a_second_step() -> None:
    left = TimeLeft()
    assert left.seconds(10, 3) is None
    left.note(100.0, step=1)
    assert left.seconds(10, 3) is None


def test_steps_take_as_long_as_those_before_without_the_first_one_and_a_pass_follows() -> None:
    left = TimeLeft()
    left.note(100.0, step=51)  # of a resumed run, after k-means
    left.note(101.0, step=61)
    assert left.seconds(20, 30) == pytest.approx((20 + 30 / 3) * 0.1)


def test_the_speed_of_a_new_phase_counts_once_it_is_known() -> None:
    left = TimeLeft()
    left.note(0.0, step=1)
    left.note(1.0, step=11)
    left.begin_phase()
    left.note(50.0, step=12)  # k-means took 49 s
    left.note(51.0, step=13)
    assert left.seconds(10, 0) == pytest.approx(1.0)
    left.note(53.0, step=18)
    assert left.seconds(10, 0) == pytest.approx(5.0)


class StepsLeft(pl.Callback):
    """Callback that keeps the number of steps that are left before each step."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.values.append(steps_left(clustering_module(pl_module)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 24),  # 2 and 4 epochs of 4 batches
        ({"accumulate_grad_batches": 2}, 12),
        ({"max_epochs": 3}, 12),
        ({"max_steps": 7}, 7),
        ({"max_epochs": 3, "max_steps": 20}, 12),
        ({"fast_dev_run": True}, 1),
        ({"limit_train_batches": 2}, 12),
    ],
)
def test_steps_of_all_phases_and_limits_of_the_trainer(tmp_path: Path, options: dict[str, Any], expected: int) -> None:
    seen = StepsLeft()
    trainer(tmp_path, seen, **options).fit(dec(), Blobs())
    assert sorted(set(seen.values), reverse=True) == list(range(expected, 0, -1))


def test_phases_in_steps_and_empty_phases(tmp_path: Path) -> None:
    seen = StepsLeft()
    pretraining = PhaseConfig(max_steps=0, loss_weights=RECONSTRUCTION, optimizer=SGD)
    clustering = PhaseConfig(max_steps=5, loss_weights={"kl": 1.0}, optimizer=SGD)
    trainer(tmp_path, seen).fit(dec(pretraining=pretraining, clustering=clustering), Blobs())
    assert seen.values == [5, 4, 3, 2, 1]
