"""Tests of the defaults that every autoencoder inherits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightning_dc.encoders import Autoencoder, Corruption


class Same(Autoencoder):
    def encode(self, x: Tensor, corrupt: Corruption | None = None) -> Tensor:
        return x

    def decode(self, z: Tensor, corrupt: Corruption | None = None) -> Tensor:
        return z


def test_an_autoencoder_has_no_layers_to_pretrain_unless_it_says_so() -> None:
    model = Same([3], 3)
    assert model.n_layers == 0
    assert model.input_shape == (3,)
    with pytest.raises(TypeError, match="Same has no layer-wise pretraining"):
        model.reconstruct_layer(torch.zeros(1, 3), 0, lambda x: x)
    with pytest.raises(TypeError, match="Same has no layer-wise pretraining"):
        model.layer_parameters(0)
