"""Encoders, most of which have a decoder."""

from lightning_dc.encoders.autoencoder import Autoencoder, AutoencoderFactory, LayerReconstruction, as_autoencoder
from lightning_dc.encoders.conv_encoder import ConvEncoder
from lightning_dc.encoders.encoder import Corruption, Encoder, EncoderFactory
from lightning_dc.encoders.identity import Identity
from lightning_dc.encoders.mlp_autoencoder import MLPAutoencoder
from lightning_dc.encoders.mlp_encoder import MLPEncoder
from lightning_dc.encoders.principal_components import PrincipalComponents
from lightning_dc.encoders.representation import Encoded, LayerFeatures, Representation

__all__ = [
    "Autoencoder",
    "AutoencoderFactory",
    "ConvEncoder",
    "Corruption",
    "Encoded",
    "Encoder",
    "EncoderFactory",
    "Identity",
    "LayerFeatures",
    "LayerReconstruction",
    "MLPAutoencoder",
    "MLPEncoder",
    "PrincipalComponents",
    "Representation",
    "as_autoencoder",
]
