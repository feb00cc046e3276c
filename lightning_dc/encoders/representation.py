"""Representations from layers that the user names."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from lightning_dc.encoders.encoder import Corruption, Encoder
from lightning_dc.encoders.probe import check_network, probe
from lightning_dc.errors import InputError

Pooling = Literal["average", "max"]


@dataclass(frozen=True)
class LayerFeatures:
    """Choice of a layer whose output gives features.

    Args:
        layer: name of a submodule of the network's ``encoder``, as in ``named_modules``.
        pool: ``average`` or ``max`` over the positions of an output of shape (B, C, ...); None flattens it.

    Raises:
        InputError: the kind of pooling is unknown.
    """

    layer: str
    pool: Pooling | None = None

    def __post_init__(self) -> None:
        if self.pool is not None and self.pool not in get_args(Pooling):
            raise InputError(
                f"pool={self.pool!r} of layer {self.layer!r} is unknown; choose from {', '.join(get_args(Pooling))}, "
                "or leave it out"
            )

    def read(self, output: Tensor) -> Tensor:
        """Return the features of a layer's output, (B, ...) to (B, width).

        Raises:
            InputError: the output has no positions to pool over.
        """
        if self.pool is None:
            return output.flatten(1)
        if output.ndim < 3:
            raise InputError(
                f"pool={self.pool!r} of layer {self.layer!r} needs an output with positions, (B, C, ...), but it has "
                f"shape (B, {', '.join(map(str, output.shape[1:]))}); leave pool out"
            )
        positions = output.flatten(2)
        return positions.mean(2) if self.pool == "average" else positions.amax(2)


class Encoded(NamedTuple):
    """Outputs of a network for a batch.

    Attributes:
        features: output of the encoder, (B, E), which the decoder and the task head read.
        z: representation, (B, D), which is clustered.
    """

    features: Tensor
    z: Tensor


class Representation:
    """Representation of samples: outputs of layers of a network, flattened or pooled, and concatenated.

    All layers of the encoder run, including those that are not named.

    Args:
        network: any encoder.
        layers: names of submodules of ``network.encoder`` (as in ``named_modules``), each run once, or
            :class:`LayerFeatures`, which can pool; None takes the encoder's output.

    Attributes:
        width: width of the representation, D.

    Raises:
        InputError: the network does not fit its input shape; or a layer does not exist, is named twice or cannot be
            pooled, or no layer is named.

    Example:
        >>> from lightning_dc.encoders import MLPEncoder
        >>> Representation(MLPEncoder((20,), [64, 32]), ["activation_1", "activation_2"]).width
        96
    """

    def __init__(self, network: Encoder, layers: Sequence[str | LayerFeatures] | None) -> None:
        check_network(network)
        self.network = network
        self.width = network.latent_dim
        self._layers: list[LayerFeatures] = []
        if layers is None:
            return
        self._layers = [LayerFeatures(layer) if isinstance(layer, str) else layer for layer in layers]
        names = [layer.layer for layer in self._layers]
        known = [name for name, _ in network.encoder.named_modules() if name]
        if len(names) == 0 or len(set(names)) < len(names) or not set(names) <= set(known):
            raise InputError(
                f"representation={names} must name different layers of {type(network).__name__}: {', '.join(known)}"
            )
        self.width = self._probe_width()

    def __call__(self, x: Tensor, corrupt: Corruption | None = None) -> Encoded:
        """Encode samples, (B, *input_shape).

        Args:
            x: samples.
            corrupt: noise on hidden activations; None for none. A layer is read as it is, and corrupted for the next.
        """
        if not self._layers:
            features = self.network.encode(x, corrupt)
            return Encoded(features, features)
        outputs: dict[str, Tensor] = {}

        def keep(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
            outputs[name] = output

        names = [layer.layer for layer in self._layers]
        hooks = [
            self.network.encoder.get_submodule(name).register_forward_hook(functools.partial(keep, name))
            for name in names
        ]
        try:
            features = self.network.encode(x, corrupt)
        finally:
            for hook in hooks:
                hook.remove()
        return Encoded(features, torch.cat([layer.read(outputs[layer.layer]) for layer in self._layers], dim=1))

    def _probe_width(self) -> int:
        """Return the width of the representation of zeros."""
        with probe(self.network) as x:
            return self(x).z.shape[1]
