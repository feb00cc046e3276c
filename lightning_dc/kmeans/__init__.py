"""K-means on embeddings."""

from lightning_dc.kmeans.lloyd import KMeansResult, kmeans, kmeans_plusplus
from lightning_dc.kmeans.mini_batch import counted_update_

__all__ = ["KMeansResult", "counted_update_", "kmeans", "kmeans_plusplus"]
