"""Clustering heads: embeddings to soft assignments. The head of a supervised task."""

from lightning_dc.heads.centroid import CentroidHead
from lightning_dc.heads.head import ClusteringHead
from lightning_dc.heads.nearest_centroid import NearestCentroidHead
from lightning_dc.heads.student_t import StudentTHead
from lightning_dc.heads.task import TaskHead

__all__ = ["CentroidHead", "ClusteringHead", "NearestCentroidHead", "StudentTHead", "TaskHead"]
