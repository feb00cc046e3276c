"""An autoencoder of a user's own."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from lightning_dc import Autoencoder


class LinearAutoencoder(Autoencoder):
    """One linear layer there and one back: principal components, up to a rotation.

    Args:
        input_shape: shape of one sample.
        latent_dim: width of the embedding, D.
    """

    def __init__(self, input_shape: Sequence[int], latent_dim: int = 3) -> None:
        super().__init__(input_shape, latent_dim)
        n_inputs = math.prod(input_shape)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, n_inputs), nn.Unflatten(1, self.input_shape))

    def encode(self, x: Tensor, corrupt: object = None) -> Tensor:
        """Embed samples, (B, *input_shape) to (B, D)."""
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor, corrupt: object = None) -> Tensor:
        """Reconstruct samples, (B, D) to (B, *input_shape)."""
        x_hat: Tensor = self.decoder(z)
        return x_hat
