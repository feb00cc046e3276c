"""Schedule with a linear ramp."""

from __future__ import annotations

from lightning_dc.errors import InputError
from lightning_dc.schedules.schedule import Progress, Schedule


class Linear(Schedule):
    """Linear ramp from ``start`` to ``end``; the factor is constant before and after the ramp.

    Args:
        start: factor at the beginning.
        end: factor at the end of the ramp.
        n_steps: length in optimizer steps, including the constant part before the ramp; None is the whole phase.
        begin: share of the length at which the ramp begins, in [0, 1).

    Example:
        >>> Linear(0.0, 0.9, n_steps=1000)(Progress(step=500, n_steps=5000))
        0.45
    """

    def __init__(self, start: float = 0.0, end: float = 1.0, n_steps: int | None = None, begin: float = 0.0) -> None:
        if n_steps is not None and n_steps < 1:
            raise InputError(f"n_steps={n_steps} of a Linear schedule must be at least 1")
        if not 0.0 <= begin < 1.0:
            raise InputError(f"begin={begin} of a Linear schedule is a share of its length and must lie in [0, 1)")
        self.start = start
        self.end = end
        self.n_steps = n_steps
        self.begin = begin

    def __call__(self, progress: Progress) -> float:
        share = progress.share if self.n_steps is None else min(1.0, progress.step / self.n_steps)
        return self.start + (self.end - self.start) * max(0.0, share - self.begin) / (1.0 - self.begin)
