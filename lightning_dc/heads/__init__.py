"""Clustering heads: embeddings to soft assignments."""

from lightning_dc.heads.centroid import CentroidHead
from lightning_dc.heads.head import ClusteringHead
from lightning_dc.heads.nearest_centroid import NearestCentroidHead
from lightning_dc.heads.student_t import StudentTHead

__all__ = ["CentroidHead", "ClusteringHead", "NearestCentroidHead", "StudentTHead"]
