"""Parameters that the losses of a phase do not reach, for whose gradients DDP would wait."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class UnreachedParameters:
    """Parameters that the loss of the current phase does not reach; they are found at its first step."""

    def __init__(self) -> None:
        self._parameters: list[nn.Parameter] = []
        self._phase_index = -1

    def reach(self, loss: Tensor, parameters: Iterable[nn.Parameter], phase_index: int) -> Tensor:
        """Add a zero to the loss that depends on the parameters that it does not reach.

        Args:
            loss: loss of a step, ().
            parameters: all parameters.
            phase_index: number of the current phase.
        """
        if self._phase_index != phase_index:
            trained = [parameter for parameter in parameters if parameter.requires_grad]
            gradients = [None] * len(trained)
            if loss.requires_grad:
                gradients = torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True)  # type: ignore[assignment]
            self._parameters = [p for p, gradient in zip(trained, gradients, strict=True) if gradient is None]
            self._phase_index = phase_index
        return loss + 0.0 * sum(parameter.flatten()[:1].sum() for parameter in self._parameters)

    def drop_gradients(self, phase_index: int) -> None:
        """Leave the parameters without a gradient, as they are where nothing waits for it, and so no weight decay.

        Args:
            phase_index: number of the current phase; parameters of an earlier one are left alone.
        """
        for parameter in self._parameters if self._phase_index == phase_index else ():
            parameter.grad = None
