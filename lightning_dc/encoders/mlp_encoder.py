"""Fully connected encoder without a decoder."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor, nn

from lightning_dc.encoders.encoder import Corruption, Encoder
from lightning_dc.errors import InputError

Activation = Literal["relu", "sigmoid", "tanh"]
_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class MLPEncoder(Encoder):
    """Fully connected encoder of supervised methods, with an activation after each layer.

    Layers are named ``linear_1``, ``activation_1``, ``linear_2``, ... Weights and biases are drawn from
    U(-1/sqrt(fan_in), 1/sqrt(fan_in)), which is the default of torch.

    Args:
        input_shape: shape of one sample, which is flattened.
        hidden_dims: widths of the layers; the last one is the width of the embedding.
        activation: ``relu``, ``sigmoid`` (as in the DeepType code) or ``tanh``.

    Raises:
        InputError: there is no layer, a width is below 1, or the activation is unknown.

    Example:
        >>> import torch
        >>> encoder = MLPEncoder((20,), hidden_dims=[64, 32])
        >>> encoder.encode(torch.zeros(3, 20)).shape, [name for name, _ in encoder.encoder.named_children()][-1]
        (torch.Size([3, 32]), 'activation_2')
    """

    def __init__(
        self, input_shape: Sequence[int], hidden_dims: Sequence[int] = (64, 32), activation: Activation = "relu"
    ) -> None:
        if len(hidden_dims) == 0 or min(*hidden_dims, math.prod(input_shape)) < 1:
            raise InputError(f"hidden_dims={list(hidden_dims)} must name at least one width, each at least 1")
        if activation not in get_args(Activation):
            raise InputError(f"activation={activation!r} is unknown; choose from {', '.join(get_args(Activation))}")
        super().__init__(input_shape, hidden_dims[-1])
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (n_in, n_out) in enumerate(pairwise([math.prod(input_shape), *hidden_dims]), start=1):
            layers[f"linear_{i}"] = nn.Linear(n_in, n_out)
            layers[f"activation_{i}"] = _ACTIVATIONS[activation]()
        self.encoder = nn.Sequential(layers)

    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        hidden = x.flatten(1)
        last = len(self.encoder._modules) - 1
        for i, layer in enumerate(self.encoder.children()):
            hidden = layer(hidden)
            if corrupt is not None and i < last and not isinstance(layer, nn.Linear):
                hidden = corrupt(hidden)
        return hidden
