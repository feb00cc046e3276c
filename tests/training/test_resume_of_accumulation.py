"""Checkpoints between the batches whose gradients one optimizer step adds up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint

from tests.helpers.methods import Blobs, dcn, dec, trainer, weights


class EveryBatch(Checkpoint):
    """Callback that writes a checkpoint after every batch, as ModelCheckpoint does: after all other callbacks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_batches = 0

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self.n_batches += 1
        trainer.save_checkpoint(self.folder / f"{self.n_batches}.ckpt")


class EpochLosses(Callback):
    """Callback that keeps the monitored loss at the end of each epoch; it comes after the callbacks of the method."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.losses[trainer.current_epoch] = float(trainer.callback_metrics["train/loss"])


@pytest.mark.parametrize(("method", "accumulate"), [(dec, 2), (dec, 3), (dcn, 2)])
def test_a_run_that_resumes_from_any_batch_is_the_same(method: Any, accumulate: int, tmp_path: Path) -> None:
    """An epoch has four batches, so with three batches in a step its last step has one."""
    every, losses, options = EveryBatch(tmp_path), EpochLosses(), {"accumulate_grad_batches": accumulate}
    whole = method()
    trainer(tmp_path, every, losses, **options, enable_checkpointing=True).fit(whole, Blobs())
    assert every.n_batches > 16
    steps = set()
    for number in range(1, every.n_batches):
        path = tmp_path / f"{number}.ckpt"
        resumed, of_resumed = method(), EpochLosses()
        trainer(tmp_path, of_resumed, **options).fit(resumed, Blobs(), ckpt_path=path, weights_only=True)
        assert torch.equal(weights(resumed), weights(whole)), number
        assert torch.equal(resumed.final.labels, whole.final.labels)
        assert of_resumed.losses.items() <= losses.losses.items()
        steps.add(torch.load(path, weights_only=True)["global_step"])
    assert len(steps) < every.n_batches - 1  # some checkpoints lie between the batches of a step
