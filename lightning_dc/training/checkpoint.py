"""Reading of checkpoints, and checks that they fit a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_dc.errors import InputError

CHECKPOINT_KEY = "lightning_dc"
"""Key of the entry that lightning_dc adds to a checkpoint."""


def read_checkpoint(path: str | Path, argument: str) -> dict[str, Any]:
    """Read a checkpoint of lightning_dc, on the CPU, without executing any code in it.

    Args:
        path: the file.
        argument: name of the argument in error messages.

    Raises:
        InputError: there is no such file, or it cannot be read as a checkpoint.
    """
    if not Path(path).is_file():
        raise InputError(f"{argument}={str(path)!r} is no file; give the path of a checkpoint")
    try:
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        missing = {"hyper_parameters", "state_dict"} - checkpoint.keys()
    except Exception as error:  # damaged files make the zip reader and the unpickler fail in many ways
        raise InputError(f"{argument}={str(path)!r} can't be read as a checkpoint ({type(error).__name__})") from error
    if missing:
        named = ", ".join(sorted(missing))
        raise InputError(f"{argument}={str(path)!r} can't be read as a checkpoint (it has no {named})")
    return checkpoint


def check_same(state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check that a checkpoint is of the same method, data and clusters as this run.

    Args:
        state: description of the run in the checkpoint.
        own: description of this run, by the same keys.

    Raises:
        InputError: one of these differs.
    """
    for key, value in own.items():
        if state[key] != value:
            raise InputError(
                f"ckpt_path names a checkpoint with {key}={state[key]}, but this run has {key}={value}; "
                "use the configuration that wrote it"
            )


def check_same_phases(names: Sequence[str], own: Sequence[str]) -> None:
    """Check that a run is resumed with the same phases.

    Args:
        names: names of the phases in the checkpoint, in order.
        own: names of the phases of this run, in order.

    Raises:
        InputError: they differ.
    """
    if list(names) != list(own):
        raise InputError(
            f"ckpt_path names a checkpoint of a run with phases {list(names)}, but this run has {list(own)}; "
            "resume with the same phases"
        )


def check_weights(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], argument: str) -> None:
    """Check that weights of a checkpoint fit a model by name and shape.

    Args:
        weights: weights of the checkpoint.
        own: weights of the model.
        argument: name of the argument in error messages.

    Raises:
        InputError: a weight is missing on one side, or has another shape.
    """
    for name in own.keys() | weights.keys():
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (weights, own)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{argument} names a checkpoint where {name} has shape {shapes[0]}, but here it has {shapes[1]}; "
                "use the configuration that wrote it"
            )


def check_optimizer(states: Sequence[Mapping[str, Any]], own: torch.optim.Optimizer, phase: str) -> None:
    """Check that a run is resumed with the same kind of optimizer.

    Args:
        states: states of the optimizers in the checkpoint.
        own: optimizer of this run.
        phase: name of the phase.

    Raises:
        InputError: the optimizer is of another kind.
    """
    settings = [set(group) for group in own.param_groups]
    if [set(group) for group in states[0]["param_groups"]] != settings:
        raise InputError(
            f"ckpt_path names a checkpoint of another optimizer than {type(own).__name__} in phase "
            f"{phase!r}; resume with the same optimizer and bias_lr_factor"
        )
