"""Checks of the options of the trainer and of the seed, whose errors would otherwise name no remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.accelerators import AcceleratorRegistry, CUDAAccelerator, MPSAccelerator
from lightning.pytorch.strategies import StrategyRegistry

from lightning_dc.cli.suggestions import close_to
from lightning_dc.errors import InputError
from lightning_dc.training.trainer_checks import splitting_refused

_TIME = re.compile(r"\d+:\d\d:\d\d:\d\d")
_LARGEST_SEED = 2**32 - 1  # of NumPy
_SPLITTING = ("fsdp", "deepspeed", "model_parallel", "modelparallel")


def check_seed(seed: Any) -> None:
    """Check that a seed is one that all generators of random numbers take.

    Raises:
        InputError: it is negative or too large.
    """
    if isinstance(seed, int) and not 0 <= seed <= _LARGEST_SEED:
        raise InputError(f"seed_everything={seed} must be from 0 to {_LARGEST_SEED}")


def check_trainer_options(trainer: Mapping[str, Any]) -> None:
    """Check options of the trainer.

    Args:
        trainer: its arguments, as they were parsed.

    Raises:
        InputError: this machine or this installation does not have what an option asks for.
    """
    _check_accelerator(trainer["accelerator"])
    _check_devices(trainer["devices"], trainer["accelerator"])
    _check_strategy(trainer["strategy"])
    time = trainer["max_time"]
    if isinstance(time, str) and not _TIME.fullmatch(time.strip()):
        raise InputError(f"trainer.max_time={time!r} is no time; write DD:HH:MM:SS, such as 00:00:05:00 for 5 minutes")
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        value = trainer[name]
        if isinstance(value, int) and value < 1:
            raise InputError(f"trainer.{name}={value} must be at least 1")


def _has_gpu() -> bool:
    return CUDAAccelerator.is_available() or MPSAccelerator.is_available()


def _check_accelerator(accelerator: Any) -> None:
    if not isinstance(accelerator, str):
        return
    known = ["auto", "gpu", *AcceleratorRegistry]
    if accelerator not in known:
        close = close_to(accelerator, known)
        meant = f"did you mean {close}?" if close is not None else f"choose from {', '.join(known)}"
        raise InputError(f"trainer.accelerator={accelerator!r} is unknown; {meant}")
    is_there = {"gpu": _has_gpu, "cuda": CUDAAccelerator.is_available, "mps": MPSAccelerator.is_available}
    if accelerator in is_there and not is_there[accelerator]():
        raise InputError(
            f"trainer.accelerator={accelerator!r}, but PyTorch finds no such device on this machine; leave the option "
            "out, or, if there is a GPU, install its driver and a PyTorch that was built for it"
        )


def _check_devices(devices: Any, accelerator: Any) -> None:
    if devices in (None, "auto"):
        return
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not _has_gpu())
    try:
        number = int(devices)
    except (TypeError, ValueError):
        number = 0 if on_cpu else 1  # a list of GPUs, which Lightning checks
    if number < (1 if on_cpu else -1) or number == 0:
        reason = "there is no GPU here, and on the CPU it" if on_cpu else "it"
        raise InputError(
            f"trainer.devices={devices!r} is not possible: {reason} must be a whole number of processes, 1 or "
            "more; leave it out for one"
        )


def _check_strategy(strategy: Any) -> None:
    if not isinstance(strategy, str):
        return
    if any(part in strategy.lower() for part in _SPLITTING):
        raise splitting_refused(f"trainer.strategy={strategy!r}")
    known = ["auto", *StrategyRegistry.available_strategies()]
    if strategy not in known:
        close = close_to(strategy, known)
        meant = f"did you mean {close}?" if close is not None else "choose from auto, ddp, ddp_spawn, ddp_fork"
        raise InputError(f"trainer.strategy={strategy!r} is unknown; {meant}")
