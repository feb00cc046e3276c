"""Base class of encoders."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lightning_dc.errors import InputError

Corruption = Callable[[Tensor], Tensor]
"""Function that adds noise to a hidden activation, (B, width); in the denoising autoencoders of DEC it is dropout."""


class Encoder(nn.Module, ABC):
    """Base class of networks that map samples to embeddings.

    Attributes:
        input_shape: shape of one sample.
        latent_dim: width of the embedding, D.
        encoder: maps (B, *input_shape) to (B, D).
    """

    encoder: nn.Module

    def __init__(self, input_shape: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.latent_dim = latent_dim

    @property
    def n_layers(self) -> int:
        """Number of layers that can be pretrained greedily; 0 if the encoder has no such pretraining."""
        return 0

    @abstractmethod
    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        """Embed samples, (B, *input_shape) to (B, D); ``corrupt`` acts on hidden activations, not on the embedding."""

    @property
    def input_layer(self) -> nn.Linear:
        """Linear layer that reads the inputs; input sparsity acts on the columns of its weight, (H, F).

        Raises:
            InputError: the first linear layer of ``encoder`` has another number of inputs.
        """
        n_inputs = math.prod(self.input_shape)
        for module in self.encoder.modules():
            if isinstance(module, nn.Linear):
                if module.in_features == n_inputs:
                    return module
                break
        raise InputError(
            f"{type(self).__name__} has no linear layer on its {n_inputs} inputs, which sparsity and importance of "
            "inputs need; give an encoder that begins with one, or override input_layer"
        )


EncoderFactory = Callable[[Sequence[int]], Encoder]
"""Function that builds an encoder for the shape of one sample: a class, or ``functools.partial`` of one."""
