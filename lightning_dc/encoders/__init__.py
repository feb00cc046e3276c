"""Encoders, most of them with a decoder."""

from lightning_dc.encoders.autoencoder import Autoencoder, AutoencoderFactory, LayerReconstruction
from lightning_dc.encoders.encoder import Corruption, Encoder, EncoderFactory
from lightning_dc.encoders.identity import Identity
from lightning_dc.encoders.mlp import MLPAutoencoder
from lightning_dc.encoders.mlp_encoder import MLPEncoder
from lightning_dc.encoders.representation import Encoded, Representation

__all__ = [
    "Autoencoder",
    "AutoencoderFactory",
    "Corruption",
    "Encoded",
    "Encoder",
    "EncoderFactory",
    "Identity",
    "LayerReconstruction",
    "MLPAutoencoder",
    "MLPEncoder",
    "Representation",
]
