"""The head of a supervised task."""

from __future__ import annotations

from torch import Tensor, nn


class TaskHead(nn.Module):
    """Linear layer from the encoder's output to the predictions of a supervised method.

    Args:
        n_features: width of the encoder's output, E.
        n_outputs: number of outputs for each sample, see :attr:`lightning_dc.batch.TargetSpec.n_outputs`.
        bias: add a trained constant to each output. Cox's partial likelihood does not change if a constant is added to
            all log hazards. A bias would then have a gradient of rounding errors only, which Adam scales up to full
            steps that differ between one and several processes. So survival has no bias.
    """

    def __init__(self, n_features: int, n_outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, n_outputs, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, values or log hazards, (B, E) to (B, n_outputs)."""
        output: Tensor = self.linear(features)
        return output
