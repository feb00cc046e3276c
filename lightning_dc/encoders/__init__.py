"""Encoders with their decoders."""

from lightning_dc.encoders.autoencoder import Autoencoder, AutoencoderFactory, Corruption, LayerReconstruction
from lightning_dc.encoders.identity import Identity
from lightning_dc.encoders.mlp import MLPAutoencoder

__all__ = ["Autoencoder", "AutoencoderFactory", "Corruption", "Identity", "LayerReconstruction", "MLPAutoencoder"]
