"""Phases of a fit, described as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import torch
from lightning.pytorch.cli import OptimizerCallable

from lightning_dc.errors import InputError
from lightning_dc.schedules import Progress, Schedule
from lightning_dc.training.plateau import Plateau


@dataclass(frozen=True)
class PhaseConfig:
    """Settings of a phase.

    Args:
        max_epochs: length in epochs; 0 leaves the phase out.
        max_steps: length in optimizer steps; if None, ``max_epochs`` sets the length.
        plateau: rule that ends the phase earlier, when its loss has settled; None leaves it its length. Schedules must
            not stretch over the length of such a phase, which is not known.
        optimizer: function that builds the optimizer from the parameters that the phase trains.
        lr_schedule: factor of the optimizer's learning rate over the phase; None keeps the rate constant.
        momentum_schedule: factor of the optimizer's momentum (SGD) over the phase; None keeps it constant.
        bias_lr_factor: factor of the learning rate of biases; it is 2 in Caffe, and so in the DEC code.
        loss_weights: weight of each loss term, a number or a schedule; a term without a weight is not computed.
        trainable: parts of the model to train, among ``encoder``, ``decoder``, ``head`` and ``task``; None leaves the
            choice to the method.
        input_dropout: probability of zeroing an input, the masking noise of a denoising autoencoder (Vincent et al.
            2010, https://jmlr.org/papers/v11/vincent10a.html); the reconstruction is compared with the clean input.
        dropout: probability of zeroing a hidden activation.
        augment: whether the method's augmentation is applied.

    Raises:
        InputError: a value is out of range, or a schedule needs a length that a plateau leaves open.
    """

    max_epochs: int = 0
    max_steps: int | None = None
    plateau: Plateau | None = None
    optimizer: OptimizerCallable = torch.optim.Adam
    lr_schedule: Schedule | None = None
    momentum_schedule: Schedule | None = None
    bias_lr_factor: float = 1.0
    loss_weights: Mapping[str, float | Schedule] = field(default_factory=dict)
    trainable: Sequence[str] | None = None
    input_dropout: float = 0.0
    dropout: float = 0.0
    augment: bool = True

    def __post_init__(self) -> None:
        for argument in fields(self):
            if getattr(self, argument.name) is None and argument.name not in OPTIONAL:
                raise InputError(f"{argument.name} of a phase is None; give a value, or leave it out")
        if self.max_epochs < 0 or (self.max_steps is not None and self.max_steps < 0):
            raise InputError(
                f"max_epochs={self.max_epochs} and max_steps={self.max_steps} of a phase must not be negative; "
                "0 leaves the phase out"
            )
        for name in ("input_dropout", "dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InputError(f"{name}={getattr(self, name)} of a phase must lie in [0, 1)")
        if self.plateau is not None:
            self._check_plateau()

    def _check_plateau(self) -> None:
        if self.max_steps is None and self.max_epochs == 0:
            raise InputError("plateau of a phase may never end it, so the phase needs a length, too; set max_steps")
        weights = {f"loss_weights.{name}": weight for name, weight in self.loss_weights.items()}
        rates = {"lr_schedule": self.lr_schedule, "momentum_schedule": self.momentum_schedule}
        for name, schedule in [*rates.items(), *weights.items()]:
            if isinstance(schedule, Schedule) and _stretches(schedule):
                raise InputError(
                    f"{name} is a {type(schedule).__name__}, which stretches over the length of the phase, but plateau "
                    "leaves this length open; set plateau to None, or choose a schedule that counts steps"
                )

    def parts(self, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return the parts to train: those that the user names, or else those of the method."""
        return default if self.trainable is None else tuple(self.trainable)


OPTIONAL = frozenset(argument.name for argument in fields(PhaseConfig) if argument.default is None)
"""Settings of a phase that may be None."""


def _stretches(schedule: Schedule) -> bool:
    """Return whether the factor at a step depends on the length of the phase."""
    return any(schedule(Progress(step, 2 * step)) != schedule(Progress(step, 9 * step)) for step in (1, 100, 10_000))


@dataclass(frozen=True)
class Phase:
    """Section of a fit with an optimizer and loss weights of its own.

    Attributes:
        name: name in logs and tables, unique within a method.
        config: settings that the user can change.
        trainable: parts of the model to train; empty in a phase that only sets the centroids.
        layer: number of the layer that greedy layer-wise pretraining trains in this phase; None for the whole network.
        has_clusters: True if the assignments of the head have a meaning in this phase; they are refreshed and logged.
        initializes_centroids: True if k-means over the whole training set sets the centroids when the phase begins.
    """

    name: str
    config: PhaseConfig
    trainable: tuple[str, ...]
    layer: int | None = None
    has_clusters: bool = False
    initializes_centroids: bool = False

    def n_steps(self, steps_per_epoch: int) -> int:
        """Return the length in optimizer steps, given the number of steps in an epoch."""
        config = self.config
        return config.max_epochs * steps_per_epoch if config.max_steps is None else config.max_steps

    @property
    def is_empty(self) -> bool:
        """True if the phase has no optimizer step."""
        return self.n_steps(1) == 0

    def loss_weights(self, progress: Progress) -> dict[str, float]:
        """Return the weight of each loss term at this point of the phase."""
        return {
            name: weight(progress) if isinstance(weight, Schedule) else float(weight)
            for name, weight in self.config.loss_weights.items()
        }
