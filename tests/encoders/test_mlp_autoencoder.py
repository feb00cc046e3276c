"""Tests of the fully connected autoencoder against layers that are written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor, nn

from lightning_dc.encoders import MLPAutoencoder
from lightning_dc.errors import InputError


def autoencoder(input_shape: tuple[int, ...] = (2, 3), hidden_dims: tuple[int, ...] = (5, 7)) -> MLPAutoencoder:
    torch.manual_seed(0)
    model = MLPAutoencoder(input_shape, hidden_dims, latent_dim=4)
    for parameter in model.parameters():  # biases too, so that none can be forgotten
        nn.init.normal_(parameter)
    return model


def linears(stack: nn.Module) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights and biases in order."""
    layers = [module for module in stack.modules() if isinstance(module, nn.Linear)]
    return [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers]


def affine(x: np.ndarray, layer: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return x @ layer[0].T + layer[1]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def forward(x: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    for layer in layers[:-1]:
        x = relu(affine(x, layer))
    return affine(x, layers[-1])


class Recorder:
    """Corruption that doubles its arguments, and keeps them."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().numpy().copy())
        return x * 2


@pytest.fixture
def x() -> Tensor:
    return torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(1))


def test_the_decoder_mirrors_the_encoder() -> None:
    model = autoencoder()
    shapes = [weight.shape for weight, _ in linears(model.encoder)]
    assert shapes == [(5, 6), (7, 5), (4, 7)]
    assert [weight.shape for weight, _ in linears(model.decoder)] == [shape[::-1] for shape in shapes[::-1]]
    assert model.n_layers == 3
    assert model.latent_dim == 4


def test_the_default_is_the_network_of_dec() -> None:
    model = MLPAutoencoder((784,))
    assert [weight.shape[0] for weight, _ in linears(model.encoder)] == [500, 500, 2000, 10]


def test_encode_and_decode_are_the_layers_in_turn(x: Tensor) -> None:
    model = autoencoder()
    z = model.encode(x)
    np.testing.assert_allclose(z.detach(), forward(x.flatten(1).numpy(), linears(model.encoder)), rtol=1e-4, atol=1e-5)
    x_hat = model.decode(z)
    assert x_hat.shape == x.shape
    expected = forward(z.detach().numpy(), linears(model.decoder)).reshape(x.shape)
    np.testing.assert_allclose(x_hat.detach(), expected, rtol=1e-4, atol=1e-4)


def test_embedding_and_reconstruction_have_both_signs(x: Tensor) -> None:
    model = autoencoder()
    z = model.encode(x)
    assert (z < 0).any()
    assert (z > 0).any()
    x_hat = model.decode(z)
    assert (x_hat < 0).any()
    assert (x_hat > 0).any()


@pytest.mark.parametrize("input_shape", [(3,), (1, 4, 4), (2, 1, 3)])
@pytest.mark.parametrize("hidden_dims", [(), (5,)])
@pytest.mark.parametrize("n_samples", [0, 1, 3])
def test_a_reconstruction_has_the_shape_of_the_input(
    input_shape: tuple[int, ...], hidden_dims: tuple[int, ...], n_samples: int
) -> None:
    model = autoencoder(input_shape, hidden_dims)
    z = model.encode(torch.zeros(n_samples, *input_shape))
    assert z.shape == (n_samples, 4)
    assert model.decode(z).shape == (n_samples, *input_shape)


def test_encoding_corrupts_hidden_activations_only(x: Tensor) -> None:
    model, corrupt = autoencoder(), Recorder()
    z = model.encode(x, corrupt)
    first, second, last = linears(model.encoder)
    h1 = relu(affine(x.flatten(1).numpy(), first))
    h2 = relu(affine(2 * h1, second))
    assert len(corrupt.seen) == 2
    np.testing.assert_allclose(corrupt.seen[0], h1, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(corrupt.seen[1], h2, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(z.detach(), affine(2 * h2, last), rtol=1e-4, atol=1e-4)


def test_decoding_corrupts_hidden_activations_only(x: Tensor) -> None:
    model, corrupt = autoencoder(), Recorder()
    z = model.encode(x).detach()
    x_hat = model.decode(z, corrupt)
    first, second, last = linears(model.decoder)
    h1 = relu(affine(z.numpy(), first))
    h2 = relu(affine(2 * h1, second))
    assert [seen.shape for seen in corrupt.seen] == [(6, 7), (6, 5)]
    expected = affine(2 * h2, last).reshape(x.shape)
    np.testing.assert_allclose(x_hat.detach(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_layer_and_its_mirror_reconstruct_the_activations_below(x: Tensor, layer: int) -> None:
    model, corrupt = autoencoder(), Recorder()
    target, reconstruction = model.reconstruct_layer(x, layer, corrupt)
    clean = x.flatten(1).numpy()
    for below in linears(model.encoder)[:layer]:
        clean = relu(affine(clean, below))
    np.testing.assert_allclose(target, clean, rtol=1e-4, atol=1e-5)
    assert not target.requires_grad

    hidden = affine(clean if layer == 0 else 2 * clean, linears(model.encoder)[layer])  # raw data stay clean
    hidden = hidden if layer == 2 else 2 * relu(hidden)  # the embedding stays clean, and has no ReLU
    expected = affine(hidden, linears(model.decoder)[2 - layer])
    expected = expected if layer == 0 else relu(expected)  # the data may be negative
    np.testing.assert_allclose(reconstruction.detach(), expected, rtol=1e-4, atol=1e-3)
    assert len(corrupt.seen) == (1 if layer in (0, 2) else 2)


def test_the_only_layer_of_a_shallow_autoencoder_is_not_corrupted(x: Tensor) -> None:
    model, corrupt = autoencoder(hidden_dims=()), Recorder()
    target, reconstruction = model.reconstruct_layer(x, 0, corrupt)
    assert corrupt.seen == []
    assert torch.equal(target, x.flatten(1))
    torch.testing.assert_close(reconstruction, model.decode(model.encode(x)).flatten(1))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_pretraining_a_layer_reaches_its_parameters_alone(x: Tensor, layer: int) -> None:
    model = autoencoder()
    target, reconstruction = model.reconstruct_layer(x, layer, lambda h: h)
    (reconstruction - target).square().sum().backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    parameters = model.layer_parameters(layer)
    names = {name for name, parameter in model.named_parameters() if any(parameter is own for own in parameters)}
    assert reached == names
    mirror = 2 - layer
    assert names == {
        f"{part}.linear_{i + 1}.{kind}"
        for part, i in (("encoder", layer), ("decoder", mirror))
        for kind in (
            "weight",
            "bias",
        )
    }


def test_every_parameter_belongs_to_one_layer() -> None:
    model = autoencoder()
    own = [id(parameter) for layer in range(model.n_layers) for parameter in model.layer_parameters(layer)]
    assert sorted(own) == sorted(id(parameter) for parameter in model.parameters())


def test_weights_start_uniform_within_the_fan_in_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    model = MLPAutoencoder((64,), [100], latent_dim=10)
    for weight, bias in [*linears(model.encoder), *linears(model.decoder)]:
        bound = weight.shape[1] ** -0.5
        assert kstest((weight.ravel() / bound + 1) / 2, "uniform").pvalue > 1e-3
        assert not bias.any()


def test_weights_start_normal_with_a_given_deviation() -> None:
    torch.manual_seed(0)
    model = MLPAutoencoder((64,), [100], latent_dim=10, init_std=0.01)
    for weight, bias in [*linears(model.encoder), *linears(model.decoder)]:
        assert kstest(weight.ravel() / 0.01, "norm").pvalue > 1e-3
        assert not bias.any()


def test_a_deviation_of_zero_is_not_unset() -> None:
    assert not any(parameter.any() for parameter in MLPAutoencoder((4,), [3], init_std=0.0).parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (0,)}, r"widths \[0, "),
        ({"input_shape": (4,), "hidden_dims": (3, 0)}, r"widths \[4, 3, 0, 10\]"),
        ({"input_shape": (4,), "latent_dim": 0}, "widths .* 0]"),
        ({"input_shape": (4,), "init_std": -0.1}, "init_std=-0.1"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MLPAutoencoder(**arguments)
