"""Deep clustering with PyTorch Lightning."""

from lightning_dc.batch import Batch, TargetSpec
from lightning_dc.encoders import Autoencoder, Encoder, Identity, LayerFeatures, MLPAutoencoder, MLPEncoder
from lightning_dc.errors import InputError
from lightning_dc.heads import CentroidHead, ClusteringHead, NearestCentroidHead, StudentTHead
from lightning_dc.losses import LossTerm
from lightning_dc.methods import DCN, DEC, IDEC, AEKMeans, DeepType, KMeansConfig, RefreshConfig
from lightning_dc.metrics import ClusterAgreement
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig
from lightning_dc.version import __version__

__all__ = [
    "DCN",
    "DEC",
    "IDEC",
    "AEKMeans",
    "Autoencoder",
    "Batch",
    "CentroidHead",
    "ClusterAgreement",
    "ClusteringHead",
    "ClusteringModel",
    "ClusteringModule",
    "DeepType",
    "Encoder",
    "Identity",
    "InputError",
    "KMeansConfig",
    "LayerFeatures",
    "LossTerm",
    "MLPAutoencoder",
    "MLPEncoder",
    "NearestCentroidHead",
    "Phase",
    "PhaseConfig",
    "RefreshConfig",
    "StudentTHead",
    "TargetSpec",
    "__version__",
]
