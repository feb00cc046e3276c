"""Checks that options of the Trainer fit a method whose phases say what is trained, and how long."""

from __future__ import annotations

from collections.abc import Sequence

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy
from lightning.pytorch.utilities import rank_zero_warn

from lightning_dc.errors import InputError
from lightning_dc.training.phase import Phase

_SPLITTING = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)  # so that no process has all centroids


def check_trainer(trainer: pl.Trainer) -> None:
    """Check, before training, that the Trainer asks for nothing that phases cannot do.

    Args:
        trainer: trainer of the run.

    Raises:
        InputError: an option contradicts the phases.
    """
    for name in ("min_steps", "min_epochs"):  # Lightning sets min_epochs where min_steps is given
        value = getattr(trainer, name)
        if value:
            raise InputError(
                f"{name}={value} of the Trainer would train on when all phases are over; leave it out, and set "
                "max_epochs or max_steps of the phases (refresh.tolerance=0 trains them to their end)"
            )
    every = trainer.reload_dataloaders_every_n_epochs  # type: ignore[attr-defined]
    if every:
        raise InputError(
            f"reload_dataloaders_every_n_epochs={every} of the Trainer would replace the training set, to whose rows "
            "the clusters belong; leave it out"
        )
    if any(isinstance(callback, GradientAccumulationScheduler) for callback in trainer.callbacks):  # type: ignore[attr-defined]
        raise InputError(
            "GradientAccumulationScheduler would change the length of the phases while they run; set "
            "accumulate_grad_batches of the Trainer to one number instead"
        )


def check_strategy(strategy: Strategy) -> None:
    """Check that each process has the whole model, which assignments and k-means need.

    Raises:
        InputError: the strategy splits the model over devices.
    """
    if isinstance(strategy, _SPLITTING):
        raise splitting_refused(f"the strategy {type(strategy).__name__}")


def splitting_refused(named: str) -> InputError:
    """Return the error of a strategy that splits the model over devices.

    Args:
        named: how the message names the strategy.
    """
    return InputError(
        f"{named} splits a model over devices, which lightning_dc does not support; use --trainer.strategy=ddp, or "
        "leave it out for one device"
    )


def check_device(trainer: pl.Trainer) -> None:
    """Check that the strategy suits and the device has all types of numbers that are needed.

    Args:
        trainer: trainer of the run.

    Raises:
        InputError: the strategy splits the model over devices, or the device is a GPU of Apple.
    """
    check_strategy(trainer.strategy)
    if trainer.strategy.root_device.type == "mps":
        raise InputError(
            "accelerator='mps' has no numbers of 64 bits, which sums over the data set need; use accelerator='cpu'"
        )


def check_optimizers(module: pl.LightningModule, own: object) -> None:
    """Check that a module has the optimizers of the phases.

    Args:
        module: the module.
        own: the function ``configure_optimizers`` that builds them.

    Raises:
        InputError: the module has another ``configure_optimizers``.
    """
    if getattr(module.configure_optimizers, "__func__", None) is not own:
        raise InputError(
            f"configure_optimizers of {type(module).__name__} is not used, since each phase has an optimizer and a "
            "schedule of its own; remove it, and set optimizer and lr_schedule of the phases"
        )


def step_limits(trainer: pl.Trainer, steps_per_epoch: int) -> dict[str, int]:
    """Return the limits that the Trainer sets to the number of steps of a run, by the names of its options.

    Args:
        trainer: trainer of the run.
        steps_per_epoch: number of optimizer steps in an epoch.
    """
    limits = {"max_steps": trainer.max_steps, "max_epochs": (trainer.max_epochs or 0) * steps_per_epoch}
    return {name: limit for name, limit in limits.items() if getattr(trainer, name) not in (None, -1)}


def warn_of_early_end(trainer: pl.Trainer, phases: Sequence[Phase], steps_per_epoch: int) -> None:
    """Warn before training if the Trainer will end it before the phases are over.

    Args:
        trainer: trainer of the run.
        phases: phases of the run.
        steps_per_epoch: number of optimizer steps in an epoch.
    """
    limits = step_limits(trainer, steps_per_epoch)
    if not limits or trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    name, limit = min(limits.items(), key=lambda item: item[1])
    end = 0
    for phase in phases:
        end += phase.n_steps(steps_per_epoch)
        if end > limit:
            when = "" if phase.has_clusters else ", before there are clusters,"
            rank_zero_warn(
                f"Training will end in phase {phase.name!r} at the latest{when} because of {name}="
                f"{getattr(trainer, name)} of the Trainer; -1 leaves the end to the phases"
            )
            return
