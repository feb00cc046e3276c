"""Schedule of one cycle: a warm-up, then cosine annealing."""

from __future__ import annotations

import math

from lightning_dc.errors import InputError
from lightning_dc.schedules.schedule import Progress, Schedule


class OneCycle(Schedule):
    """Cosine from ``start`` up to 1, then down to ``end`` (Smith and Topin 2018, https://arxiv.org/abs/1708.07120).

    The peak of 1 is the value that the optimizer was given.

    Args:
        warmup: share of the phase in which the factor rises, in [0, 1]; 0 is plain cosine annealing.
        start: factor at the first step.
        end: factor at the last step.

    Example:
        >>> OneCycle(warmup=0.25)(Progress(step=25, n_steps=100))
        1.0
    """

    def __init__(self, warmup: float = 0.3, start: float = 0.04, end: float = 4e-6) -> None:
        if not 0.0 <= warmup <= 1.0:
            raise InputError(f"warmup={warmup} of a OneCycle schedule is a share of the phase, between 0 and 1")
        self.warmup = warmup
        self.start = start
        self.end = end

    def __call__(self, progress: Progress) -> float:
        if progress.share < self.warmup:
            return _cosine(self.start, 1.0, progress.share / self.warmup)
        return _cosine(1.0, self.end, (progress.share - self.warmup) / max(1e-12, 1.0 - self.warmup))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
