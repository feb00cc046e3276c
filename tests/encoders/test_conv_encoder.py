"""The convolutional encoder: sizes of images, strides, and samples that it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lightning_dc import ConvEncoder, InputError


@pytest.mark.parametrize(
    ("shape", "strides", "n_features"),
    [
        ((1, 8, 8), [1, 2, 2], 128 * 2 * 2),
        ((1, 28, 28), [2, 2, 2], 128 * 4 * 4),
        ((3, 32, 32), [2, 2, 2], 128 * 4 * 4),
        ((3, 128, 96), [2, 2, 2], 128 * 4 * 4),
        ((2, 5, 20), [1, 1, 2], 128 * 3 * 4),
        ((1, 1, 1), [1, 1, 1], 128),
    ],
)
def test_strides_follow_the_size_of_the_image(shape: tuple[int, int, int], strides: list[int], n_features: int) -> None:
    encoder = ConvEncoder(shape, latent_dim=7)
    convolutions = [layer for layer in encoder.encoder if isinstance(layer, nn.Conv2d)]
    assert [layer.stride[0] for layer in convolutions] == strides
    assert encoder.encoder.linear.in_features == n_features
    assert encoder.encode(torch.rand(3, *shape)).shape == (3, 7)


def test_corruption_acts_on_hidden_activations_and_not_on_the_embedding() -> None:
    encoder = ConvEncoder((1, 8, 8), channels=(4, 6), latent_dim=7)
    seen: list[tuple[int, ...]] = []

    def corrupt(hidden: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(hidden.shape[1:]))
        return hidden

    encoder.encode(torch.rand(3, 1, 8, 8), corrupt)
    assert seen == [(4, 4, 4), (6, 2, 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (64,)}, r"ConvEncoder needs images \(channels, height, width\), got samples of shape \(64,\)"),
        ({"channels": ()}, "there must be one block"),
        ({"channels": (4, 0)}, "must be at least 1"),
        ({"latent_dim": 0}, "latent_dim=0"),
        ({"kernel_size": 4}, "kernel_size=4 must be odd"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ConvEncoder(**{"input_shape": (1, 8, 8), **arguments})  # type: ignore[arg-type]
