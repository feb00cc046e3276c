"""K-means on embeddings."""

from lightning_dc.kmeans.lloyd import KMeansResult, kmeans, kmeans_plusplus

__all__ = ["KMeansResult", "kmeans", "kmeans_plusplus"]
