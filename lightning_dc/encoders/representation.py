"""Embeddings from layers that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_dc.encoders.encoder import Corruption, Encoder
from lightning_dc.errors import InputError


class Encoded(NamedTuple):
    """What an encoder makes of a batch.

    Attributes:
        features: its output, (B, E).
        z: the representation, (B, D).
    """

    features: Tensor
    z: Tensor


class Representation:
    """Outputs of layers of an encoder, flattened and concatenated; the others still run, up to the encoder's output.

    Args:
        encoder: any encoder.
        layers: names of submodules of ``encoder.encoder`` (as in ``named_modules``), each run once; None takes the
            encoder's output.

    Attributes:
        width: width of the representation, D.

    Raises:
        InputError: there is no such layer, one is named twice, or none.

    Example:
        >>> from lightning_dc.encoders import MLPEncoder
        >>> Representation(MLPEncoder((20,), [64, 32]), ["activation_1", "activation_2"]).width
        96
    """

    def __init__(self, encoder: Encoder, layers: Sequence[str] | None) -> None:
        self.encoder = encoder
        self._modules: list[nn.Module] = []
        self.width = encoder.latent_dim
        if layers is None:
            return
        known = {name: module for name, module in encoder.encoder.named_modules() if name}
        if len(layers) == 0 or len(set(layers)) < len(layers) or not set(layers) <= known.keys():
            raise InputError(
                f"representation={list(layers)} must name different layers of {type(encoder).__name__}: "
                f"{', '.join(known)}"
            )
        self._modules = [known[name] for name in layers]
        parameter = next(encoder.parameters())
        with torch.no_grad():
            self.width = self(torch.zeros(1, *encoder.input_shape).to(parameter)).z.shape[1]

    def __call__(self, x: Tensor, corrupt: Corruption | None = None) -> Encoded:
        """Encode samples, (B, *input_shape)."""
        if not self._modules:
            features = self.encoder.encode(x, corrupt)
            return Encoded(features, features)
        outputs: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
            outputs[module] = output.flatten(1)

        hooks = [module.register_forward_hook(keep) for module in self._modules]
        try:
            features = self.encoder.encode(x, corrupt)
        finally:
            for hook in hooks:
                hook.remove()
        return Encoded(features, torch.cat([outputs[module] for module in self._modules], dim=1))
