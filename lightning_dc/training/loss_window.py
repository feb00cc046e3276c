"""Mean loss over a window of steps, and the best window of a phase."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dc.training.plateau import Plateau


class LossWindow(NamedTuple):
    """Sum of the losses of a window of steps, and the best window of the phase; the same on all processes.

    Attributes:
        total: sum of the losses since the window began, (), float64.
        n_steps: number of steps since the window began.
        best: mean loss of the best window that is over; None before the first one.
        n_calm: number of windows in a row that were no improvement on it.
    """

    total: Tensor = torch.zeros((), dtype=torch.float64)
    n_steps: int = 0
    best: float | None = None
    n_calm: int = 0

    def add(self, loss: Tensor) -> LossWindow:
        """Return the window with the loss of one more step, (), which is that of the global batch."""
        return self._replace(total=self.total + loss, n_steps=self.n_steps + 1)

    def end(self, rule: Plateau) -> LossWindow:
        """Return a new window, with what the end of this one tells about the plateau."""
        mean = float(self.total) / self.n_steps
        is_better = self.best is None or mean < self.best - rule.tolerance * abs(self.best)
        return LossWindow(best=mean) if is_better else LossWindow(best=self.best, n_calm=self.n_calm + 1)

    def to(self, device: torch.device) -> LossWindow:
        """Return the window on a device."""
        return self._replace(total=self.total.to(device))
