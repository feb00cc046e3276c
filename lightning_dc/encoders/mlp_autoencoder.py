"""Fully connected autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lightning_dc.encoders.autoencoder import Autoencoder, LayerReconstruction
from lightning_dc.encoders.encoder import Corruption
from lightning_dc.errors import InputError


class MLPAutoencoder(Autoencoder):
    """Fully connected autoencoder of DEC (https://arxiv.org/abs/1511.06335, section 4.2): d-500-500-2000-10 and back.

    ReLU follows each layer except for the last one of the encoder and of the decoder. Layers are named ``linear_1``,
    ``activation_1``, ``linear_2``, ...

    Args:
        input_shape: shape of one sample, which is flattened.
        hidden_dims: widths of the hidden layers.
        latent_dim: width of the embedding.
        init_std: weights are drawn from N(0, init_std^2), as in the DEC paper (0.01); None draws them from
            U(-1/sqrt(fan_in), 1/sqrt(fan_in)). Biases start at zero.

    Raises:
        InputError: a width is below 1, or ``init_std`` is negative.

    Example:
        >>> autoencoder = MLPAutoencoder((28, 28), hidden_dims=[64], latent_dim=5)
        >>> z = autoencoder.encode(torch.zeros(3, 28, 28))
        >>> z.shape, autoencoder.decode(z).shape
        (torch.Size([3, 5]), torch.Size([3, 28, 28]))
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        hidden_dims: Sequence[int] = (500, 500, 2000),
        latent_dim: int = 10,
        init_std: float | None = None,
    ) -> None:
        super().__init__(input_shape, latent_dim)
        self.hidden_dims = tuple(hidden_dims)
        self.init_std = init_std
        dims = [math.prod(self.input_shape), *self.hidden_dims, latent_dim]
        if min(dims) < 1:
            raise InputError(f"input_shape, hidden_dims and latent_dim must be at least 1, got widths {dims}")
        if init_std is not None and init_std < 0:
            raise InputError(f"init_std={init_std} must not be negative")
        self.encoder = _Stack(dims, init_std)
        self.decoder = _Stack(dims[::-1], init_std)

    @property
    def n_layers(self) -> int:
        return len(self.hidden_dims) + 1

    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        z: Tensor = self.encoder(x.flatten(1), corrupt)
        return z

    def decode(self, z: Tensor, corrupt: Corruption | None = None) -> Tensor:
        x_hat: Tensor = self.decoder(z, corrupt)
        return x_hat.reshape(len(z), *self.input_shape)

    def reconstruct_layer(self, x: Tensor, layer: int, corrupt: Corruption) -> LayerReconstruction:
        """Reconstruct the input of one layer; ``corrupt`` acts neither on the raw data nor on the embedding."""
        with torch.no_grad():
            target = x.flatten(1)
            for linear in self._layers(self.encoder)[:layer]:
                target = torch.relu(linear(target))
        first, last = layer == 0, layer == self.n_layers - 1
        hidden = self._layers(self.encoder)[layer](target if first else corrupt(target))
        hidden = hidden if last else corrupt(torch.relu(hidden))
        reconstruction = self._layers(self.decoder)[self.n_layers - 1 - layer](hidden)
        return LayerReconstruction(target, reconstruction if first else torch.relu(reconstruction))

    def layer_parameters(self, layer: int) -> list[nn.Parameter]:
        mirror = self.n_layers - 1 - layer
        return [*self._layers(self.encoder)[layer].parameters(), *self._layers(self.decoder)[mirror].parameters()]

    @staticmethod
    def _layers(stack: nn.Module) -> list[nn.Module]:
        return [module for module in stack.children() if isinstance(module, nn.Linear)]


class _Stack(nn.Sequential):
    """Stack of linear layers, ``linear_1``, ``linear_2``, ..., with ReLU between them, ``activation_1``, ..."""

    def __init__(self, dims: Sequence[int], init_std: float | None) -> None:
        super().__init__()
        layers = [nn.Linear(n_in, n_out) for n_in, n_out in pairwise(dims)]
        for i, linear in enumerate(layers, start=1):
            _initialize(linear, init_std)
            self.add_module(f"linear_{i}", linear)
            if i < len(layers):
                self.add_module(f"activation_{i}", nn.ReLU())

    def forward(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        for layer in self:
            x = layer(x)
            if corrupt is not None and isinstance(layer, nn.ReLU):
                x = corrupt(x)
        return x


def _initialize(linear: nn.Linear, std: float | None) -> None:
    if std is None:
        bound = 1.0 / math.sqrt(linear.in_features)
        nn.init.uniform_(linear.weight, -bound, bound)
    else:
        nn.init.normal_(linear.weight, std=std)
    nn.init.zeros_(linear.bias)
