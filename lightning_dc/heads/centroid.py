"""Heads that place clusters around centroids."""

from __future__ import annotations

import torch
from torch import nn

from lightning_dc.errors import InputError
from lightning_dc.heads.head import ClusteringHead


class CentroidHead(ClusteringHead):
    """A head with one centroid a cluster.

    Args:
        n_clusters: number of clusters K.
        latent_dim: width of the embedding, D.

    Attributes:
        centroids: (K, D), a parameter that is only ever written in place. It starts at zero: a
            ``CentroidRefresh`` callback sets it.
    """

    def __init__(self, n_clusters: int, latent_dim: int) -> None:
        super().__init__(n_clusters, latent_dim)
        self.centroids = nn.Parameter(torch.zeros(n_clusters, latent_dim))


def centroid_head(head: ClusteringHead) -> CentroidHead:
    """Return a head as one with centroids.

    Raises:
        InputError: it has none.
    """
    if not isinstance(head, CentroidHead):
        raise InputError(
            f"{type(head).__name__} has no centroids, which k-means and its losses need; use a CentroidHead"
        )
    return head
