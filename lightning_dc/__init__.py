"""Deep clustering with PyTorch Lightning."""

from lightning_dc.batch import Batch, TargetSpec
from lightning_dc.encoders import Autoencoder, Encoder, Identity, MLPAutoencoder, MLPEncoder
from lightning_dc.errors import InputError
from lightning_dc.heads import CentroidHead, ClusteringHead, NearestCentroidHead, StudentTHead
from lightning_dc.methods import DCN, DEC, IDEC, AEKMeans, DeepType
from lightning_dc.metrics import ClusterAgreement
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
    "ClusteringModule",
    "DeepType",
    "Encoder",
    "Identity",
    "InputError",
    "MLPAutoencoder",
    "MLPEncoder",
    "NearestCentroidHead",
    "Phase",
    "PhaseConfig",
    "StudentTHead",
    "TargetSpec",
    "__version__",
]
