"""What a loss term reads and returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn


class StepQuantities(Protocol):
    """Quantities of one training step; each is computed when a loss term first asks for it."""

    @property
    def x(self) -> Tensor:
        """What is to be reconstructed, (B, ...)."""

    @property
    def x_hat(self) -> Tensor:
        """Reconstruction of ``x``, same shape."""

    @property
    def z(self) -> Tensor:
        """Embedding, (B, D)."""

    @property
    def centroids(self) -> Tensor:
        """Centroids of the head, (K, D); no gradient unless the phase trains the head."""

    @property
    def q(self) -> Tensor:
        """Soft assignments, (B, K)."""

    @property
    def p(self) -> Tensor:
        """Target distribution, (B, K), no gradient."""

    @property
    def output(self) -> Tensor:
        """Output of the supervised task, (B, C), (B, T) or, of survival, (B, 1)."""

    @property
    def targets(self) -> Tensor:
        """Targets of the supervised task, as in :class:`~lightning_dc.batch.Batch`."""

    @property
    def input_weight(self) -> Tensor:
        """Weights of the encoder's input layer, (H, F)."""


class LossTerm(nn.Module, ABC):
    """One named term of a loss."""

    @abstractmethod
    def forward(self, step: StepQuantities) -> Tensor:
        """Loss of each sample, (B,), or of the model as a whole, (): the method averages the former."""
