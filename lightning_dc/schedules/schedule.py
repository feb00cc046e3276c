"""Base class of schedules, and the progress of a phase on which they depend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple


class Progress(NamedTuple):
    """Progress of a phase.

    Attributes:
        step: number of optimizer steps that have been done in the phase.
        n_steps: largest number of optimizer steps of the phase.
    """

    step: int
    n_steps: int

    @property
    def share(self) -> float:
        """Share of the phase that is done, in [0, 1]."""
        return min(1.0, self.step / max(1, self.n_steps))


class Schedule(ABC):
    """Base class of pure functions of a phase's progress, for learning rates, momenta and loss weights.

    A schedule has no state, so that a resumed run follows it exactly. Its constructor arguments are kept as attributes
    of the same names, by which a checkpoint describes the schedule.
    """

    @abstractmethod
    def __call__(self, progress: Progress) -> float:
        """Return the factor at this point of the phase."""
