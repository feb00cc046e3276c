"""A factor that changes over a phase."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple


class Progress(NamedTuple):
    """Where a phase stands.

    Attributes:
        step: optimizer steps done in the phase.
        n_steps: optimizer steps that the phase has at most.
    """

    step: int
    n_steps: int

    @property
    def share(self) -> float:
        """Share of the phase that is done, in [0, 1]."""
        return min(1.0, self.step / max(1, self.n_steps))


class Schedule(ABC):
    """A pure function of a phase's progress, for learning rates, momenta and loss weights.

    It has no state, so a resumed run follows it exactly. Constructor arguments are kept under their own names, which
    is how a checkpoint describes the schedule.
    """

    @abstractmethod
    def __call__(self, progress: Progress) -> float:
        """The factor at this point of the phase."""
