"""Steps that are left of a fit, and the time that they will take."""

from __future__ import annotations

from lightning_dc.training import ClusteringModule
from lightning_dc.training.trainer_checks import step_limits

_SETTLED_S = 2.0  # seconds of a phase after which its steps have shown how long they take
_PASS = 1 / 3  # time of a pass forward over the training set as a share of that of an epoch


class TimeLeft:
    """Estimate of the time left of a fit, from the steps of this session.

    All steps that are left are expected to take as long as those of the current phase, with its refreshes. The first
    step of a phase is left out, since k-means comes before it. The final pass over the training set comes on top.
    """

    def __init__(self) -> None:
        self._from: tuple[float, int] | None = None  # time and step at which the measurement began
        self._seconds_per_step: float | None = None
        self._is_settled = True  # whether that is the speed of this phase, or of none

    def begin_phase(self) -> None:
        """Note that a phase begins; the estimate keeps the speed of the phase before until the new one is known."""
        self._from = None
        self._is_settled = self._seconds_per_step is None

    def note(self, now: float, step: int) -> None:
        """Take note of a step.

        Args:
            now: present time, seconds.
            step: number of steps that are done.
        """
        if self._from is None:
            self._from = now, step
        seconds, n_steps = now - self._from[0], step - self._from[1]
        self._is_settled |= seconds >= _SETTLED_S
        if n_steps > 0 and self._is_settled:
            self._seconds_per_step = seconds / n_steps

    def seconds(self, n_steps: int, n_steps_of_epoch: int) -> float | None:
        """Return the seconds that are left, or None as long as nothing is known.

        Args:
            n_steps: number of steps that are left.
            n_steps_of_epoch: number of steps in an epoch.
        """
        if self._seconds_per_step is None:
            return None
        return (n_steps + _PASS * n_steps_of_epoch) * self._seconds_per_step


def steps_left(module: ClusteringModule) -> int:
    """Return the number of steps that are left of a fit, in all phases together.

    A limit of the Trainer, such as ``max_epochs``, may end the fit before the phases are over.

    Args:
        module: the method that is trained.
    """
    if module.phases_over:
        return 0
    n_epoch, (step, n_steps) = module.steps_per_epoch, module.progress
    left = n_steps - step + sum(phase.n_steps(n_epoch) for phase in module.phases[module.state.phase_index + 1 :])
    limits = step_limits(module.trainer, n_epoch).values()
    return max(0, min([left, *(limit - module.global_step for limit in limits)]))
