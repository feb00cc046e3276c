"""Schedule that decays in steps."""

from __future__ import annotations

from lightning_dc.errors import InputError
from lightning_dc.schedules.schedule import Progress, Schedule


class StepDecay(Schedule):
    """Factor that is multiplied by ``factor`` every ``every_n_steps`` optimizer steps.

    Args:
        every_n_steps: number of optimizer steps between two changes.
        factor: number by which each change multiplies.

    Example:
        >>> StepDecay(20_000, 0.1)(Progress(step=20_000, n_steps=50_000))
        0.1
    """

    def __init__(self, every_n_steps: int, factor: float = 0.1) -> None:
        if every_n_steps < 1:
            raise InputError(f"every_n_steps={every_n_steps} of a StepDecay schedule must be at least 1")
        self.every_n_steps = every_n_steps
        self.factor = factor

    def __call__(self, progress: Progress) -> float:
        return float(self.factor ** (progress.step // self.every_n_steps))
