from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest

from lightning_dc import PhaseConfig
from lightning_dc.schedules import Linear
from tests.helpers.methods import RECONSTRUCTION, SGD, Blobs, Memory, dec, logged, trainer


class Losses(pl.Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_what_is_logged_is_the_mean_since_the_last_log(tmp_path: Path, accumulate: int) -> None:
    logger, losses = Memory(), Losses()
    phase = PhaseConfig(max_steps=8, loss_weights=RECONSTRUCTION, optimizer=SGD)
    options = {"logger": logger, "log_every_n_steps": 4, "accumulate_grad_batches": accumulate, "max_steps": 8}
    trainer(tmp_path, losses, **options).fit(dec(pretraining=phase), Blobs())
    means = np.reshape(losses.losses[: 8 * accumulate], (2, 4 * accumulate)).mean(1)
    np.testing.assert_allclose(logged(logger, "train/loss"), means, rtol=1e-5)
    np.testing.assert_allclose(logged(logger, "train/reconstruction"), means, rtol=1e-5)


def test_weights_rates_and_phases_are_logged(tmp_path: Path) -> None:
    logger = Memory()
    ramp, decay = Linear(1.0, 0.0), Linear(1.0, 0.5)
    phase = PhaseConfig(max_steps=8, loss_weights={"reconstruction": ramp}, optimizer=SGD, lr_schedule=decay)
    trainer(tmp_path, logger=logger, log_every_n_steps=2).fit(dec(pretraining=phase), Blobs())
    np.testing.assert_allclose(logged(logger, "weight/reconstruction")[:3], [0.75, 0.5, 0.25])
    rates = logged(logger, "train/lr")
    assert rates[0] == pytest.approx(0.1 * (1 - 0.5 / 8))
    assert rates[-1] == pytest.approx(0.1)  # the clustering phase has its own optimizer
    assert logged(logger, "phase")[-1] == 1.0


def test_logging_can_be_turned_off(tmp_path: Path) -> None:
    model = dec()
    trainer(tmp_path, log_every_n_steps=0).fit(model, Blobs())
    assert model.phases_over
