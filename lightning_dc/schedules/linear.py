"""Linear ramp."""

from __future__ import annotations

from lightning_dc.errors import InputError
from lightning_dc.schedules.schedule import Progress, Schedule


class Linear(Schedule):
    """From ``start`` to ``end`` in a straight line, then constant.

    Args:
        start: factor at the first step.
        end: factor at the end of the ramp.
        n_steps: length of the ramp in optimizer steps; None takes the whole phase.

    Example:
        >>> Linear(0.0, 0.9, n_steps=1000)(Progress(step=500, n_steps=5000))
        0.45
    """

    def __init__(self, start: float = 0.0, end: float = 1.0, n_steps: int | None = None) -> None:
        if n_steps is not None and n_steps < 1:
            raise InputError(f"n_steps={n_steps} of a Linear schedule must be at least 1")
        self.start = start
        self.end = end
        self.n_steps = n_steps

    def __call__(self, progress: Progress) -> float:
        share = progress.share if self.n_steps is None else min(1.0, progress.step / self.n_steps)
        return self.start + (self.end - self.start) * share
