"""Encoders, most of them with a decoder."""

from lightning_dc.encoders.autoencoder import Autoencoder, AutoencoderFactory, LayerReconstruction
from lightning_dc.encoders.encoder import Corruption, Encoder, EncoderFactory
from lightning_dc.encoders.identity import Identity
from lightning_dc.encoders.mlp import MLPAutoencoder
from lightning_dc.encoders.mlp_encoder import MLPEncoder
from lightning_dc.encoders.representation import layer_width, named_layers, traced_encode

__all__ = [
    "Autoencoder",
    "AutoencoderFactory",
    "Corruption",
    "Encoder",
    "EncoderFactory",
    "Identity",
    "LayerReconstruction",
    "MLPAutoencoder",
    "MLPEncoder",
    "layer_width",
    "named_layers",
    "traced_encode",
]
