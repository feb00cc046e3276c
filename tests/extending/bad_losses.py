"""Losses that read what DEC does not have."""

from torch import Tensor

from lightning_dc import LossTerm


class ReadsNothingThereIs(LossTerm):
    """Reads a quantity that no method has."""

    def forward(self, z: Tensor, neighbours: Tensor) -> Tensor:
        """Return something."""
        return (z - neighbours).square().sum(1)


class ReadsTheTask(LossTerm):
    """Reads the output of a supervised task."""

    def forward(self, output: Tensor) -> Tensor:
        """Return something."""
        return output.square().sum(1)


class HasNoForward(LossTerm):
    """Reads nothing."""


class HasADefault(LossTerm):
    """Has a default for a quantity."""

    def forward(self, z: Tensor, q: Tensor | None = None) -> Tensor:
        """Return something."""
        return z.square().sum(1) if q is None else q.sum(1)


class ReadsTargetsAlone(LossTerm):
    """Reads the target distribution, and no assignments."""

    def forward(self, p: Tensor) -> Tensor:
        """Return something."""
        return p.square().sum(1)
