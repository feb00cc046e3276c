"""An autoencoder and a DataModule of a user's own, with defaults of their own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lightning_dc.encoders import Autoencoder, Corruption


class Own(Autoencoder):
    def __init__(self, input_shape: tuple[int, ...], latent_dim: int = 3) -> None:
        super().__init__(input_shape, latent_dim)
        n = math.prod(input_shape)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(n, latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, n), nn.Unflatten(1, tuple(input_shape)))

    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        return self.encoder(x)  # type: ignore[no-any-return]

    def decode(self, z: Tensor, corrupt: Corruption | None = None) -> Tensor:
        return self.decoder(z)  # type: ignore[no-any-return]


class Untyped(torch.optim.Adam):
    """Optimizer whose arguments have no types, as in many packages."""

    def __init__(self, params, lr=0.004, betas=(0.8, 0.9)):  # type: ignore[no-untyped-def]
        super().__init__(params, lr=lr, betas=betas)
