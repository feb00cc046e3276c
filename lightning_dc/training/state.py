"""The target distribution of the whole training set."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from lightning_dc.functional import target_distribution


class TargetDistribution(NamedTuple):
    """P of DEC, held for every sample or as the cluster frequencies alone.

    Attributes:
        frequencies: soft cluster frequencies of the whole training set, (K,), float64.
        table: target distribution of each sample, (N, K), rows sum to 1; None computes rows from current assignments.
    """

    frequencies: Tensor
    table: Tensor | None

    def rows(self, index: Tensor, q: Tensor) -> Tensor:
        """Targets of a batch, (B, K), no gradient.

        Args:
            index: place of each sample in the training set, (B,).
            q: current soft assignments of the same samples, (B, K).
        """
        if self.table is None:
            return target_distribution(q.detach(), self.frequencies)
        return self.table[index]


class Assignments(NamedTuple):
    """Hard assignments of the whole training set at a refresh.

    Attributes:
        step: global step of the refresh.
        labels: cluster of each sample, (N,), int32.
        changed: share of labels that differ from those of the refresh before; None at the first one of a phase.
    """

    step: int
    labels: Tensor
    changed: float | None


@runtime_checkable
class TargetPredictor(Protocol):
    """A method that learns a supervised task, too."""

    def predict_target(self, x: Tensor) -> Tensor:
        """What it says of the targets of samples, (B, *input_shape) to (B, n_outputs)."""
