"""The optimizer of a phase, and its learning rate and momentum."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lightning_dc.encoders import as_autoencoder
from lightning_dc.errors import InputError
from lightning_dc.losses import LossTerm
from lightning_dc.model import ClusteringModel
from lightning_dc.schedules import Progress
from lightning_dc.training.phase import Phase

Settings = Sequence[Mapping[str, Any]]
"""Settings of each parameter group of an optimizer, by name."""


def build_optimizer(phase: Phase, model: ClusteringModel, losses: Mapping[str, LossTerm]) -> torch.optim.Optimizer:
    """Build the optimizer of a phase.

    Args:
        phase: the phase.
        model: the model, parts of which the phase trains.
        losses: all loss terms by name; the parameters of those that the phase weights are trained, too.

    Raises:
        InputError: the optimizer rejects its arguments, or a momentum is scheduled that it does not have.
    """
    if not phase.trainable:  # Lightning counts the steps of an optimizer, so there must be one
        return torch.optim.SGD([*model.parameters()], lr=0.0)
    parameters = _trained_parameters(phase, model)
    parameters += [parameter for name in phase.config.loss_weights for parameter in losses[name].parameters()]
    factor = phase.config.bias_lr_factor
    weights = [parameter for parameter in parameters if parameter.ndim > 1 or factor == 1.0]
    biases = [parameter for parameter in parameters if parameter.ndim <= 1 and factor != 1.0]
    if not parameters:
        raise InputError(
            f"phase {phase.name!r} trains {', '.join(phase.trainable)}, but {type(model.network).__name__} has no "
            "weights; leave the phase out by max_epochs=0"
        )
    try:
        optimizer = phase.config.optimizer([{"params": group} for group in (weights, biases) if group])
    except (TypeError, ValueError) as error:
        raise InputError(f"optimizer of phase {phase.name!r}: {error}") from error
    for group in optimizer.param_groups[1:]:
        group["lr"] *= factor
    if phase.config.momentum_schedule is not None and "momentum" not in optimizer.param_groups[0]:
        raise InputError(
            f"phase {phase.name!r} has a momentum_schedule, but {type(optimizer).__name__} has no momentum; remove "
            "the schedule, or use SGD"
        )
    return optimizer


def settings_of(optimizer: torch.optim.Optimizer) -> Settings:
    """Return the settings of each parameter group, such as learning rate and betas.

    Arguments of the optimizer's constructor are settings; what else is in a group, such as a count of steps, is state.
    """
    arguments = inspect.signature(type(optimizer)).parameters.keys() - {"params"}
    return [{name: group[name] for name in arguments & group.keys()} for group in optimizer.param_groups]


def restore_settings(optimizer: torch.optim.Optimizer, settings: Settings) -> None:
    """Replace the settings that a checkpoint has brought by those of this run."""
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def set_rates(optimizer: torch.optim.Optimizer, settings: Settings, phase: Phase, progress: Progress) -> None:
    """Set learning rate and momentum to the values of the phase's schedules.

    Args:
        optimizer: optimizer of the phase.
        settings: settings that this run has given it.
        phase: the phase.
        progress: position in the phase.
    """
    schedules = {"lr": phase.config.lr_schedule, "momentum": phase.config.momentum_schedule}
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        for name, schedule in schedules.items():
            if schedule is not None:
                group[name] = own[name] * schedule(progress)


def _trained_parameters(phase: Phase, model: ClusteringModel) -> list[nn.Parameter]:
    if phase.layer is not None:
        return as_autoencoder(model.network).layer_parameters(phase.layer)
    parts = model.parts()
    return [parameter for part in phase.trainable for parameter in parts[part].parameters()]
