"""Heads that place clusters around centroids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_dc.errors import InputError
from lightning_dc.heads.head import ClusteringHead


class CentroidHead(ClusteringHead):
    """Base class of heads with one centroid for each cluster.

    Args:
        n_clusters: number of clusters K.
        latent_dim: width of the embedding, D.

    Attributes:
        centroids: centroids, (K, D), a parameter that is only ever written in place. It is zero until a
            ``CentroidRefresh`` callback sets it.
    """

    def __init__(self, n_clusters: int, latent_dim: int) -> None:
        super().__init__(n_clusters, latent_dim)
        self.centroids = nn.Parameter(torch.zeros(n_clusters, latent_dim))

    def distances(self, z: Tensor, clusters: Tensor) -> Tensor:
        """Return the distance of embeddings from the centroids of their clusters, (B,)."""
        distances: Tensor = torch.linalg.vector_norm(z - self.centroids.detach().to(z)[clusters], dim=1)
        return distances


def centroid_head(head: ClusteringHead) -> CentroidHead:
    """Return a head, typed as a :class:`CentroidHead`.

    Raises:
        InputError: the head has no centroids.
    """
    if not isinstance(head, CentroidHead):
        raise InputError(
            f"{type(head).__name__} has no centroids, which k-means and its losses need; use a CentroidHead"
        )
    return head
