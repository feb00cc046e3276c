"""Clustering heads, which turn embeddings into soft assignments, and the head of a supervised task."""

from lightning_dc.heads.centroid import CentroidHead, centroid_head
from lightning_dc.heads.gaussian_mixture import GaussianMixtureHead
from lightning_dc.heads.head import ClusteringHead, HeadFactory, soft_head
from lightning_dc.heads.nearest_centroid import NearestCentroidHead
from lightning_dc.heads.prototype import PrototypeHead
from lightning_dc.heads.softmax import SoftmaxHead
from lightning_dc.heads.student_t import StudentTHead
from lightning_dc.heads.task import TaskHead

__all__ = [
    "CentroidHead",
    "ClusteringHead",
    "GaussianMixtureHead",
    "HeadFactory",
    "NearestCentroidHead",
    "PrototypeHead",
    "SoftmaxHead",
    "StudentTHead",
    "TaskHead",
    "centroid_head",
    "soft_head",
]
