"""Schedule that approaches its end exponentially."""

from __future__ import annotations

import math

from lightning_dc.errors import InputError
from lightning_dc.schedules.schedule import Progress, Schedule


class Exponential(Schedule):
    """Exponential approach from ``start`` to ``end``: end + (start - end) exp(-t / time_constant).

    The change is fast at first. With ``start`` 0 this is the ramp end (1 - exp(-t / 300)) of the DeepType code.

    Args:
        start: factor at the beginning.
        end: factor that is approached.
        time_constant: number of optimizer steps t after which 63 % of the change is done, positive.

    Example:
        >>> round(Exponential(0.0, 2.0, time_constant=300)(Progress(step=300, n_steps=5000)), 3)
        1.264
    """

    def __init__(self, start: float = 0.0, end: float = 1.0, time_constant: float = 300.0) -> None:
        if time_constant <= 0:
            raise InputError(f"time_constant={time_constant} of an Exponential schedule must be positive")
        self.start = start
        self.end = end
        self.time_constant = time_constant

    def __call__(self, progress: Progress) -> float:
        return self.end + (self.start - self.end) * math.exp(-progress.step / self.time_constant)
