"""Checks of the options of the trainer and of the seed, whose errors would otherwise name no remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.accelerators import AcceleratorRegistry, CUDAAccelerator, MPSAccelerator
from lightning.pytorch.strategies import StrategyRegistry

from datamodules import ClusteringDataModule
from lightning_dc.cli.suggestions import close_to
from lightning_dc.errors import InputError
from lightning_dc.training import ClusteringModule

_LARGEST_SEED = 2**32 - 1  # of NumPy
_LOGGED = ("train/loss", "epoch", "step")  # the last two are counted for ModelCheckpoint
_WITHOUT_OTHER_METRICS = ("lightning.", "lightning_dc.", "datamodules.")  # a user's own parts may log further metrics
_SPLITTING = ("fsdp", "deepspeed", "model_parallel", "modelparallel")


def check_seed(seed: Any) -> None:
    """Check that a seed is one that all generators of random numbers take.

    Raises:
        InputError: it is negative or too large.
    """
    if isinstance(seed, int) and not 0 <= seed <= _LARGEST_SEED:
        raise InputError(f"seed_everything={seed} must be from 0 to {_LARGEST_SEED}")


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Check options of the trainer.

    Args:
        trainer: its arguments, as they were parsed.

    Raises:
        InputError: this machine or this installation does not have what an option asks for.
    """
    _check_accelerator(trainer["accelerator"])
    _check_devices(trainer["devices"], trainer["accelerator"])
    _check_strategy(trainer["strategy"])
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        value = trainer[name]
        if isinstance(value, int) and value < 1:
            raise InputError(f"trainer.{name}={value} must be at least 1")


def check_monitors(callbacks: Sequence[pl.Callback], model: ClusteringModule, data: pl.LightningDataModule) -> None:
    """Check that the metrics that callbacks monitor will be there, as far as it can be known before training.

    Raises:
        InputError: a metric of validation is monitored, but no samples are held out; or one that no method has.
    """
    if not all(type(part).__module__.startswith(_WITHOUT_OTHER_METRICS) for part in (model, data, *callbacks)):
        return
    holds_out = not isinstance(data, ClusteringDataModule) or data.val_fraction > 0
    for callback in callbacks:
        metric = getattr(callback, "monitor", None)
        if metric is None or metric in _LOGGED:
            continue
        name = f"{type(callback).__name__} monitors {metric!r}"
        if not metric.startswith("val/"):
            raise InputError(f"{name}, which is not logged for callbacks; monitor 'train/loss' or a metric 'val/...'")
        if not holds_out:
            raise InputError(
                f"{name}, but no samples are held out; add --data.val_fraction=0.1, or monitor 'train/loss'"
            )


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
            f"trainer.devices={devices!r} is not possible: {reason} must be a positive number of processes; leave it "
            "out for one"
        )


def _check_strategy(strategy: Any) -> None:
    if not isinstance(strategy, str):
        return
    if any(part in strategy.lower() for part in _SPLITTING):
        raise InputError(
            f"trainer.strategy={strategy!r} splits a model over devices, which lightning_dc does not support; use "
            "--trainer.strategy=ddp, or leave it out for one device"
        )
    known = ["auto", *StrategyRegistry.available_strategies()]
    if strategy not in known:
        close = close_to(strategy, known)
        meant = f"did you mean {close}?" if close is not None else "choose from auto, ddp, ddp_spawn, ddp_fork"
        raise InputError(f"trainer.strategy={strategy!r} is unknown; {meant}")
