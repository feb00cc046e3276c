"""K-means on embeddings."""

from lightning_dc.kmeans.lloyd import KMeansResult, kmeans
from lightning_dc.kmeans.seeding import kmeans_plusplus

__all__ = ["KMeansResult", "kmeans", "kmeans_plusplus"]
