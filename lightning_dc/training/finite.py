"""Checks that a model has not diverged."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from lightning_dc.errors import InputError


def check_finite_embeddings(trainer: pl.Trainer, n_lost: int, n_samples: int) -> None:
    """Check that embeddings are finite numbers.

    Args:
        trainer: trainer of the run, which knows the last checkpoint.
        n_lost: number of samples whose embedding is not finite.
        n_samples: number of samples.

    Raises:
        InputError: some are not.
    """
    if n_lost > 0:
        raise InputError(
            f"the embeddings of {n_lost} of {n_samples} samples are not finite: training has diverged, or inputs are "
            f"huge; lower the learning rate, scale the data, or go back{_last_checkpoint(trainer)}"
        )


def check_finite_parameters(trainer: pl.Trainer, module: nn.Module, phase: str) -> None:
    """Check that all parameters are finite numbers.

    Args:
        trainer: trainer of the run, which knows the last checkpoint.
        module: module with the parameters.
        phase: name of the phase.

    Raises:
        InputError: some are not.
    """
    sums = [parameter.detach().double().sum() for parameter in module.parameters() if parameter.numel() > 0]
    if sums and not bool(torch.stack(sums).isfinite().all()):
        raise InputError(
            f"phase {phase!r} has diverged by step {trainer.global_step}: weights are not finite; lower the "
            f"learning rate of its optimizer, or go back{_last_checkpoint(trainer)}"
        )


def _last_checkpoint(trainer: pl.Trainer) -> str:
    callback = trainer.checkpoint_callback
    path = (callback.last_model_path or callback.best_model_path) if isinstance(callback, ModelCheckpoint) else ""
    return f" to the checkpoint {path}" if path else " to an earlier checkpoint"
