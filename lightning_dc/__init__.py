"""Deep clustering with PyTorch Lightning.

Names are imported when they are first used: the model and all below it come without Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lightning_dc.version import __version__

if TYPE_CHECKING:
    from lightning_dc.batch import Batch, TargetSpec
    from lightning_dc.encoders import (
        Autoencoder,
        ConvEncoder,
        Encoder,
        Identity,
        LayerFeatures,
        MLPAutoencoder,
        MLPEncoder,
    )
    from lightning_dc.errors import InputError
    from lightning_dc.heads import CentroidHead, ClusteringHead, NearestCentroidHead, SoftmaxHead, StudentTHead
    from lightning_dc.losses import LossTerm
    from lightning_dc.methods import (
        DCN,
        DEC,
        IDEC,
        SCAN,
        AEKMeans,
        DeepClustering,
        DeepType,
        GaussianMixture,
        KMeansConfig,
        MergedKMeans,
        NeighbourConfig,
        RefreshConfig,
    )
    from lightning_dc.metrics import ClusterAgreement
    from lightning_dc.model import ClusteringModel
    from lightning_dc.training import ClusteringModule, Phase, PhaseConfig, Plateau

_MODULES = {
    "batch": ("Batch", "TargetSpec"),
    "encoders": ("Autoencoder", "ConvEncoder", "Encoder", "Identity", "LayerFeatures", "MLPAutoencoder", "MLPEncoder"),
    "errors": ("InputError",),
    "heads": ("CentroidHead", "ClusteringHead", "NearestCentroidHead", "SoftmaxHead", "StudentTHead"),
    "losses": ("LossTerm",),
    "methods": (
        "AEKMeans",
        "DCN",
        "DEC",
        "DeepClustering",
        "DeepType",
        "GaussianMixture",
        "IDEC",
        "KMeansConfig",
        "MergedKMeans",
        "NeighbourConfig",
        "RefreshConfig",
        "SCAN",
    ),
    "metrics": ("ClusterAgreement",),
    "model": ("ClusteringModel",),
    "training": ("ClusteringModule", "Phase", "PhaseConfig", "Plateau"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "DCN",
    "DEC",
    "IDEC",
    "SCAN",
    "AEKMeans",
    "Autoencoder",
    "Batch",
    "CentroidHead",
    "ClusterAgreement",
    "ClusteringHead",
    "ClusteringModel",
    "ClusteringModule",
    "ConvEncoder",
    "DeepClustering",
    "DeepType",
    "Encoder",
    "GaussianMixture",
    "Identity",
    "InputError",
    "KMeansConfig",
    "LayerFeatures",
    "LossTerm",
    "MLPAutoencoder",
    "MLPEncoder",
    "MergedKMeans",
    "NearestCentroidHead",
    "NeighbourConfig",
    "Phase",
    "PhaseConfig",
    "Plateau",
    "RefreshConfig",
    "SoftmaxHead",
    "StudentTHead",
    "TargetSpec",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
