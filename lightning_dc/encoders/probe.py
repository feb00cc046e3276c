"""Trial of a network on two samples of zeros, before it is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_dc.encoders.autoencoder import Autoencoder
from lightning_dc.encoders.encoder import Encoder
from lightning_dc.errors import InputError

_N_SAMPLES = 2  # since networks may drop the first dimension of a single one


@contextlib.contextmanager
def probe(network: Encoder) -> Iterator[Tensor]:
    """Give two samples of zeros, in evaluation mode and without gradients; the network stays as it is.

    Yields:
        Samples, (2, *input_shape), of the type and on the device of the network's parameters.
    """
    flags = {module: module.training for module in network.modules()}
    example = torch.zeros(_N_SAMPLES, *network.input_shape)
    parameter = next(network.parameters(), example)
    network.eval()
    try:
        with torch.no_grad():
            yield example.to(parameter)
    finally:
        for module, flag in flags.items():
            module.training = flag


def check_network(network: Encoder) -> None:
    """Check that a network takes samples of its input shape, and returns embeddings and reconstructions of them.

    Raises:
        InputError: it fails on such samples, or what it returns has another shape.
    """
    name, shape = type(network).__name__, tuple(network.input_shape)
    remedy = "give an encoder that is made for the shape of these data"
    with probe(network) as x:
        try:
            z, x_hat = network.encode(x), x
            if isinstance(network, Autoencoder):
                with contextlib.suppress(NotImplementedError):  # a decoder that no loss needs
                    x_hat = network.decode(z)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{name} fails on samples of shape {shape} ({reason}); {remedy}") from error
    if tuple(z.shape) != (_N_SAMPLES, network.latent_dim):
        raise InputError(
            f"{name} returns embeddings of shape (B, {', '.join(map(str, z.shape[1:]))}), but its latent_dim is "
            f"{network.latent_dim}; encode must return (B, latent_dim)"
        )
    if x_hat.shape != x.shape:
        raise InputError(
            f"{name} reconstructs samples of shape {shape} as {tuple(x_hat.shape[1:])}; decode must return their shape"
        )
