"""Autoencoder that leaves samples as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from lightning_dc.encoders.autoencoder import Autoencoder
from lightning_dc.encoders.encoder import Corruption


class Identity(Autoencoder):
    """Autoencoder whose embeddings are the flattened samples, for clustering of raw data or of given embeddings.

    It has no parameters.

    Args:
        input_shape: shape of one sample.

    Example:
        >>> import torch
        >>> identity = Identity((28, 28))
        >>> identity.latent_dim, identity.encode(torch.zeros(3, 28, 28)).shape
        (784, torch.Size([3, 784]))
    """

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__(input_shape, math.prod(input_shape))
        self.encoder = nn.Flatten()
        self.decoder = nn.Unflatten(1, self.input_shape)

    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor, corrupt: Corruption | None = None) -> Tensor:
        x_hat: Tensor = self.decoder(z)
        return x_hat
