"""A loss of a user's own: embeddings should have length 1."""

from torch import Tensor

from lightning_dc import LossTerm


class UnitNorm(LossTerm):
    """Squared difference of the length of an embedding from ``length``.

    Args:
        length: length that embeddings should have.
    """

    def __init__(self, length: float = 1.0) -> None:
        super().__init__()
        self.length = length

    def forward(self, z: Tensor) -> Tensor:
        """Return the loss of each sample, (B,), from embeddings, (B, D)."""
        return (z.norm(dim=1) - self.length).square()
