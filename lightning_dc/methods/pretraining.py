"""Phases that pretrain an autoencoder, with which most methods begin."""

from __future__ import annotations

from lightning_dc.encoders import Encoder
from lightning_dc.training import Phase, PhaseConfig

AUTOENCODER = ("encoder", "decoder")

LAYERWISE = PhaseConfig(loss_weights={"reconstruction": 1.0}, dropout=0.2)
"""Greedy layer-wise pretraining as in the DEC paper; it has no steps unless the user gives it a length."""

PRETRAINING = PhaseConfig(max_epochs=50, loss_weights={"reconstruction": 1.0})
"""Training of the whole autoencoder."""


def pretraining_phases(network: Encoder, layerwise: PhaseConfig, pretraining: PhaseConfig) -> list[Phase]:
    """Return phases that train each layer separately, and then the autoencoder as a whole."""
    return [
        *layer_phases(network, layerwise),
        Phase("pretraining", pretraining, pretraining.parts(AUTOENCODER)),
    ]


def layer_phases(network: Encoder, layerwise: PhaseConfig) -> list[Phase]:
    """Return phases that train each layer separately."""
    layers = range(network.n_layers or 1)
    return [Phase(f"layer {layer + 1}", layerwise, AUTOENCODER, layer=layer) for layer in layers]
