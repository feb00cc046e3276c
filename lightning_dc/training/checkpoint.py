"""Reading of checkpoints, and checks that they fit a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.training.checkpoint_format import CHECKPOINT_KEY, check_format


def find_checkpoint(path: str | Path, argument: str) -> Path:
    """Return the file of a checkpoint that is given by itself or by the folder of its run.

    Args:
        path: a file; a run's folder, or its folder ``checkpoints``, whose ``last.ckpt`` is meant, or else its only
            checkpoint.
        argument: name of the argument in error messages.

    Raises:
        InputError: there is no such file, or the folder leaves open which one is meant.
    """
    named, path = str(path), Path(path)
    if path.is_file():
        return path
    for last in (path / "last.ckpt", path / "checkpoints/last.ckpt"):
        if last.is_file():
            return last
    found = sorted(path.rglob("*.ckpt")) if path.is_dir() else []
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
        raise InputError(f"{argument}={named!r} is a folder with {len(found)} checkpoints; name one of {names}")
    what = "a folder without checkpoints" if path.is_dir() else "no file"
    raise InputError(
        f"{argument}={named!r} is {what}; give the path of a checkpoint, such as "
        "runs/NAME/version_0/checkpoints/last.ckpt"
    )


def read_checkpoint(path: str | Path, argument: str) -> dict[str, Any]:
    """Read a checkpoint of lightning_dc, on the CPU, without executing any code in it.

    Args:
        path: the file, or the folder of its run.
        argument: name of the argument in error messages.

    Raises:
        InputError: there is no such file, it cannot be read as a checkpoint, or another program has written it.
    """
    file = find_checkpoint(path, argument)
    try:
        checkpoint: dict[str, Any] = torch.load(file, weights_only=True, map_location="cpu", mmap=True)
    except Exception as error:  # damaged files make the zip reader and the unpickler fail in many ways
        raise InputError(
            f"{argument}={str(file)!r} can't be read as a checkpoint ({type(error).__name__}); it is damaged or of "
            "another program, so give another one"
        ) from error
    check_format(checkpoint, f"{argument}={str(file)!r}")
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
            of_data = "give samples of the shape that it was trained on"
            remedy = of_data if key == "input_shape" else "use the configuration that wrote it"
            raise InputError(
                f"ckpt_path names a checkpoint with {key}={state[key]}, but this run has {key}={value}; {remedy}"
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
    """Check that weights of a checkpoint fit a model by name, shape and kind of number.

    Args:
        weights: weights of the checkpoint.
        own: weights of the model.
        argument: name of the argument in error messages.

    Raises:
        InputError: a weight is missing on one side, has another shape, or is no ordinary tensor of such numbers.
    """
    for name in sorted(own.keys() | weights.keys()):
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (weights, own)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{argument} names a checkpoint where {name} has shape {shapes[0]}, but here it has {shapes[1]}; "
                "use the configuration that wrote it"
            )
        given, expected = weights[name], own[name]
        if given.is_floating_point() != expected.is_floating_point() or given.layout != expected.layout:
            raise InputError(
                f"{argument} names a checkpoint where {name} has numbers of type {given.dtype} ({given.layout}), but "
                f"here they are {expected.dtype}; use the configuration that wrote it"
            )


def network_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those of a model's weights that belong to its network."""
    return {name: value for name, value in tensors.items() if name.startswith("model.network.")}


def check_optimizer(checkpoint: Mapping[str, Any], own: torch.optim.Optimizer, phase: str) -> None:
    """Check that a run is resumed with the same kind of optimizer.

    Args:
        checkpoint: the checkpoint, with states of optimizers.
        own: optimizer of this run.
        phase: name of the phase.

    Raises:
        InputError: the optimizer is of another class, or has other groups of parameters.
    """
    name = type(own).__name__
    saved = checkpoint[CHECKPOINT_KEY].get("optimizers") or [name]  # older checkpoints don't tell
    settings = [set(group) for group in own.param_groups]
    if saved != [name] or [set(group) for group in checkpoint["optimizer_states"][0]["param_groups"]] != settings:
        of = saved[0] if saved != [name] else f"{name} with other groups of parameters"
        raise InputError(
            f"ckpt_path names a checkpoint whose optimizer in phase {phase!r} is {of}, but here it is {name}; resume "
            "with the same optimizer and bias_lr_factor, or start from the network alone, with init_from"
        )
