"""Encoder that projects samples onto their principal components."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_dc.encoders.autoencoder import Autoencoder
from lightning_dc.encoders.encoder import Corruption
from lightning_dc.errors import InputError


class PrincipalComponents(Autoencoder):
    """Projection onto the principal components of the training set, the best linear autoencoder.

    It has nothing to train. A ``ComponentFit`` callback, which every method has that needs one, computes the components
    before training starts; they are buffers and travel with the checkpoint.

    Args:
        input_shape: shape of one sample.
        latent_dim: number of components D; if a sample has fewer features, all of them.
        center: whether the mean is subtracted first. Without it the components are the singular vectors of the
            samples, as in latent semantic analysis of texts (Deerwester et al. 1990).
        unit: whether embeddings are scaled to unit length, so that distances are those of directions.

    Attributes:
        components: orthonormal components, (D, F), zero until they are fitted.
        mean: mean of the samples, (F,).

    Raises:
        InputError: ``latent_dim`` is below 1.
    """

    def __init__(
        self, input_shape: Sequence[int], latent_dim: int = 10, center: bool = True, unit: bool = False
    ) -> None:
        if latent_dim < 1:
            raise InputError(f"latent_dim={latent_dim} must be at least 1")
        n_features = math.prod(input_shape)
        super().__init__(input_shape, min(latent_dim, n_features))
        self.center = center
        self.unit = unit
        self.encoder: _Projection = _Projection(n_features, self.latent_dim, unit)
        self.decoder = _Expansion(self.encoder, self.input_shape)

    @property
    def components(self) -> Tensor:
        """Components, (D, F)."""
        return self.encoder.components

    @property
    def mean(self) -> Tensor:
        """Mean of the samples, (F,)."""
        return self.encoder.mean

    @property
    def is_fitted(self) -> bool:
        """True once the components have been set."""
        return bool(self.components.any())

    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor, corrupt: Corruption | None = None) -> Tensor:
        x_hat: Tensor = self.decoder(z)
        return x_hat


class _Projection(nn.Module):
    """Map of samples to embeddings."""

    mean: Tensor
    components: Tensor

    def __init__(self, n_features: int, latent_dim: int, unit: bool) -> None:
        super().__init__()
        self.unit = unit
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("components", torch.zeros(latent_dim, n_features))

    def forward(self, x: Tensor) -> Tensor:
        z = functional.linear(x.flatten(1) - self.mean, self.components)
        return functional.normalize(z) if self.unit else z


class _Expansion(nn.Module):
    """Map of embeddings to samples, which shares the components."""

    def __init__(self, projection: _Projection, input_shape: Sequence[int]) -> None:
        super().__init__()
        self._projection = (projection,)  # in a tuple, so that its buffers are in a checkpoint only once
        self._input_shape = tuple(input_shape)

    def forward(self, z: Tensor) -> Tensor:
        projection = self._projection[0]
        x_hat = z @ projection.components + projection.mean
        return x_hat.reshape(-1, *self._input_shape)
