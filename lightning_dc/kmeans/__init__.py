"""K-means on embeddings."""

from lightning_dc.kmeans.estimator import KMeans
from lightning_dc.kmeans.lloyd import KMeansResult, kmeans
from lightning_dc.kmeans.mini_batch import MiniBatchKMeans, counted_update_
from lightning_dc.kmeans.seeding import kmeans_plusplus

__all__ = ["KMeans", "KMeansResult", "MiniBatchKMeans", "counted_update_", "kmeans", "kmeans_plusplus"]
