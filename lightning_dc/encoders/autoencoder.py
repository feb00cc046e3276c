"""What a method needs of an encoder that has a decoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from lightning_dc.encoders.encoder import Corruption, Encoder


class LayerReconstruction(NamedTuple):
    """What one layer of a stack of autoencoders sees and gives back.

    Attributes:
        target: clean input of the layer, (B, width), no gradient.
        reconstruction: what the layer and its mirror make of the corrupted input, (B, width).
    """

    target: Tensor
    reconstruction: Tensor


class Autoencoder(Encoder):
    """An encoder and its decoder.

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
        """One layer as an autoencoder of its own, on the activations of the layers below it."""
        raise TypeError(f"{type(self).__name__} has no layer-wise pretraining")

    def layer_parameters(self, layer: int) -> list[nn.Parameter]:
        """Parameters that the layer-wise pretraining of ``layer`` trains."""
        raise TypeError(f"{type(self).__name__} has no layer-wise pretraining")


AutoencoderFactory = Callable[[Sequence[int]], Autoencoder]
"""Builds an autoencoder for the shape of one sample: a class, or ``functools.partial`` of one."""
