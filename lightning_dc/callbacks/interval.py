"""When something periodic is due."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_dc.errors import InputError
from lightning_dc.training import ClusteringModule


@dataclass(frozen=True)
class Interval:
    """A period in steps or in epochs of a phase; with neither, nothing is ever due.

    Args:
        every_n_steps: optimizer steps.
        every_n_epochs: epochs.

    Raises:
        InputError: both are given, or a number below 1.
    """

    every_n_steps: int | None = None
    every_n_epochs: int | None = None

    def __post_init__(self) -> None:
        if self.every_n_steps is not None and self.every_n_epochs is not None:
            raise InputError(
                f"every_n_steps={self.every_n_steps} and every_n_epochs={self.every_n_epochs} are both given; set one "
                "of them to null"
            )
        for name, value in (("every_n_steps", self.every_n_steps), ("every_n_epochs", self.every_n_epochs)):
            if value is not None and value < 1:
                raise InputError(f"{name}={value} between two refreshes must be at least 1")

    def is_due(self, module: ClusteringModule, step: int) -> bool:
        """The step of the current phase is a multiple of the period."""
        if self.every_n_epochs is not None:
            return step % (self.every_n_epochs * module.steps_per_epoch) == 0
        return self.every_n_steps is not None and step % self.every_n_steps == 0
