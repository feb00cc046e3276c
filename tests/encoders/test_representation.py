"""Tests of MLPEncoder, and of embeddings from named layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lightning_dc import Encoder, InputError, MLPAutoencoder, MLPEncoder
from lightning_dc.encoders import Representation

X = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_each_layer_is_linear_with_an_activation(activation: Any) -> None:
    function = getattr(torch, activation)
    encoder = MLPEncoder((2, 5), [7, 4], activation)
    hidden = function(encoder.encoder.linear_1(X.flatten(1)))
    torch.testing.assert_close(encoder.encode(X), function(encoder.encoder.linear_2(hidden)))
    assert encoder.latent_dim == 4


def test_noise_acts_on_hidden_activations_alone() -> None:
    encoder = MLPEncoder((2, 5), [7, 4, 3])
    seen: list[tuple[int, ...]] = []
    encoder.encode(X, lambda hidden: seen.append(tuple(hidden.shape)) or hidden)  # type: ignore[func-returns-value]
    assert seen == [(3, 7), (3, 4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"hidden_dims": []}, "hidden_dims"), ({"hidden_dims": [3, 0]}, "hidden_dims"), ({"activation": "selu"}, "selu")],
)
def test_bad_arguments_of_an_encoder_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MLPEncoder((4,), **arguments)


def test_named_layers_are_concatenated_in_their_order() -> None:
    encoder = MLPEncoder((2, 5), [7, 4])
    features, z = Representation(encoder, ["activation_2", "linear_1"])(X)
    torch.testing.assert_close(features, encoder.encode(X))
    torch.testing.assert_close(z, torch.cat([features, encoder.encoder.linear_1(X.flatten(1))], 1))
    assert Representation(encoder, ["activation_2", "linear_1"]).width == 11
    assert not encoder.encoder.linear_1._forward_hooks


def test_without_names_it_is_the_encoders_output() -> None:
    encoder = MLPAutoencoder((2, 5), [7], 3)
    features, z = Representation(encoder, None)(X)
    assert z is features
    assert Representation(encoder, ["activation_1"]).width == 7  # layers of any encoder


def test_an_encoder_without_a_linear_layer_on_its_inputs_has_no_input_layer() -> None:
    class Convolution(Encoder):
        def __init__(self) -> None:
            super().__init__((2, 5), 3)
            self.encoder = nn.Sequential(nn.Conv1d(2, 4, 3), nn.Flatten(), nn.Linear(12, 3))

        def encode(self, x: torch.Tensor, corrupt: Any = None) -> torch.Tensor:
            return self.encoder(x)

    assert MLPEncoder((2, 5)).input_layer.weight.shape == (64, 10)
    with pytest.raises(InputError, match="Convolution has no linear layer on its 10 inputs"):
        _ = Convolution().input_layer
