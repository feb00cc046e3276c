"""Clustering methods: one LightningModule each."""

from lightning_dc.methods.ae_kmeans import AEKMeans
from lightning_dc.methods.dcn import DCN
from lightning_dc.methods.dec import DEC
from lightning_dc.methods.deep_clustering import DeepClustering
from lightning_dc.methods.deeptype import DeepType
from lightning_dc.methods.gaussian_mixture import GaussianMixture
from lightning_dc.methods.idec import IDEC
from lightning_dc.methods.merged_kmeans import MergedKMeans
from lightning_dc.methods.scan import SCAN
from lightning_dc.methods.settings import KMeansConfig, NeighbourConfig, RefreshConfig

__all__ = [
    "AEKMeans",
    "DCN",
    "DEC",
    "DeepClustering",
    "DeepType",
    "GaussianMixture",
    "IDEC",
    "SCAN",
    "KMeansConfig",
    "MergedKMeans",
    "NeighbourConfig",
    "RefreshConfig",
]
