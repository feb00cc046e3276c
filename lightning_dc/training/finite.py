"""Checks that a model has not diverged."""

from __future__ import annotations

import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_dc.errors import InputError
from lightning_dc.training.module import ClusteringModule


def check_finite_embeddings(module: ClusteringModule, n_lost: int, n_samples: int) -> None:
    """Check that embeddings are finite numbers.

    Args:
        module: the method.
        n_lost: number of samples whose embedding is not finite.
        n_samples: number of samples.

    Raises:
        InputError: some are not.
    """
    if n_lost > 0:
        raise InputError(
            f"the embeddings of {n_lost} of {n_samples} samples are not finite: training has diverged, or inputs are "
            f"huge; lower the learning rate, scale the data, or go back{_last_checkpoint(module)}"
        )


def check_finite_parameters(module: ClusteringModule) -> None:
    """Check that all parameters are finite numbers.

    Raises:
        InputError: some are not.
    """
    sums = [parameter.detach().double().sum() for parameter in module.parameters() if parameter.numel() > 0]
    if sums and not bool(torch.stack(sums).isfinite().all()):
        raise InputError(
            f"phase {module.phase.name!r} has diverged by step {module.global_step}: weights are not finite; lower the "
            f"learning rate of its optimizer, or go back{_last_checkpoint(module)}"
        )


def _last_checkpoint(module: ClusteringModule) -> str:
    callback = module.trainer.checkpoint_callback
    path = (callback.last_model_path or callback.best_model_path) if isinstance(callback, ModelCheckpoint) else ""
    return f" to the checkpoint {path}" if path else " to an earlier checkpoint"
