"""Deep clustering with PyTorch Lightning."""

from lightning_dc.batch import Batch
from lightning_dc.encoders import Autoencoder, MLPAutoencoder
from lightning_dc.errors import InputError
from lightning_dc.heads import ClusteringHead, StudentTHead
from lightning_dc.methods import DEC
from lightning_dc.metrics import ClusterAgreement
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig
from lightning_dc.version import __version__

__all__ = [
    "DEC",
    "Autoencoder",
    "Batch",
    "ClusterAgreement",
    "ClusteringHead",
    "ClusteringModule",
    "InputError",
    "MLPAutoencoder",
    "Phase",
    "PhaseConfig",
    "StudentTHead",
    "__version__",
]
