"""Clustering heads: embeddings to soft assignments."""

from lightning_dc.heads.head import ClusteringHead
from lightning_dc.heads.student_t import StudentTHead

__all__ = ["ClusteringHead", "StudentTHead"]
