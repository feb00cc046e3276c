"""Models that have diverged are refused, and the last good checkpoint is named."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_dc import DEC, InputError, PhaseConfig
from lightning_dc.reports import RunSummary
from tests.helpers.methods import RECONSTRUCTION, SGD, Blobs, dec, trainer


class Explode(pl.Callback):
    """Makes the weights infinite after a step, as a gradient that explodes does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
        if trainer.global_step == self.step:
            with torch.no_grad():
                next(pl_module.model.network.parameters()).fill_(float("nan"))


@pytest.mark.parametrize("step", [8, 24])
def test_a_last_step_that_explodes_replaces_no_checkpoint(tmp_path: Path, step: int) -> None:
    """The last step of an epoch, whose loss was finite; 24 is the last step of all."""
    save = ModelCheckpoint(tmp_path / "kept", "last", save_on_train_epoch_end=True, enable_version_counter=False)
    run = trainer(tmp_path, Explode(step), RunSummary(), save, enable_checkpointing=True)
    with pytest.raises(
        InputError, match=rf"diverged by step {step}: weights are not finite; .* {tmp_path}/kept/last.ckpt"
    ):
        run.fit(dec(), Blobs())
    assert not list(tmp_path.rglob("clusters*"))
    kept = DEC.load_from_checkpoint(tmp_path / "kept/last.ckpt")
    assert all(bool(parameter.isfinite().all()) for parameter in kept.parameters())


def test_embeddings_that_are_not_finite_are_refused_at_a_refresh(tmp_path: Path) -> None:
    huge = functools.partial(torch.optim.SGD, lr=1e30)
    model = dec(clustering=PhaseConfig(max_steps=6, loss_weights={"kl": 1.0}, optimizer=huge))
    with pytest.raises(InputError, match=r"not finite|is nan|no finite"):
        trainer(tmp_path).fit(model, Blobs())


def test_predictions_of_a_diverged_model_are_refused(tmp_path: Path) -> None:
    model, run = (
        dec(pretraining=PhaseConfig(max_steps=1, loss_weights=RECONSTRUCTION, optimizer=SGD)),
        trainer(tmp_path),
    )
    run.fit(model, Blobs())
    with torch.no_grad():
        next(model.model.network.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="embeddings of 150 of 150 samples are not finite"):
        run.predict(model, Blobs())
