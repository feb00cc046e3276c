"""Base class of encoders with a decoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from lightning_dc.encoders.encoder import Corruption, Encoder
from lightning_dc.errors import InputError


class LayerReconstruction(NamedTuple):
    """Input and output of one layer of a stack of autoencoders.

    Attributes:
        x: clean input of the layer, (B, width), without a gradient.
        x_hat: output of the layer and its mirror for the corrupted input, (B, width).
    """

    x: Tensor
    x_hat: Tensor


class Autoencoder(Encoder):
    """Base class of encoders with a decoder.

    Attributes:
        input_shape: shape of one sample.
        latent_dim: width of the embedding, D.
        encoder: maps (B, *input_shape) to (B, D).
        decoder: maps (B, D) to (B, *input_shape).
    """

    decoder: nn.Module

    @abstractmethod
    def decode(self, z: Tensor, corrupt: Corruption | None = None) -> Tensor:
        """Reconstruct samples, (B, D) to (B, *input_shape)."""

    def reconstruct_layer(self, x: Tensor, layer: int, corrupt: Corruption) -> LayerReconstruction:
        """Reconstruct the input of one layer by that layer and its mirror, for greedy layer-wise pretraining.

        Args:
            x: samples, (B, *input_shape); the layers below this one give its input.
            layer: number of the layer, from 0.
            corrupt: noise on activations.

        Raises:
            TypeError: the autoencoder has no layer-wise pretraining.
        """
        raise TypeError(f"{type(self).__name__} has no layer-wise pretraining")

    def layer_parameters(self, layer: int) -> list[nn.Parameter]:
        """Return the parameters that the layer-wise pretraining of ``layer`` trains.

        Raises:
            TypeError: the autoencoder has no layer-wise pretraining.
        """
        raise TypeError(f"{type(self).__name__} has no layer-wise pretraining")


AutoencoderFactory = Callable[[Sequence[int]], Autoencoder]
"""Function that builds an autoencoder for the shape of one sample: a class, or ``functools.partial`` of one."""


def as_autoencoder(network: Encoder) -> Autoencoder:
    """Return a network, typed as an :class:`Autoencoder`.

    Raises:
        InputError: the network has no decoder.
    """
    if not isinstance(network, Autoencoder):
        raise InputError(f"{type(network).__name__} has no decoder, which reconstruction needs; use an Autoencoder")
    return network
