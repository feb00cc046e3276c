"""The head of clusters that are made of several prototypes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_dc.errors import InputError
from lightning_dc.functional import distance_margin, nearest_centroids
from lightning_dc.heads.head import ClusteringHead


class PrototypeHead(ClusteringHead):
    """Head of clusters of any shape: hard assignment to the cluster of the nearest of several prototypes.

    A ``PrototypeRefresh`` callback sets the prototypes and their clusters; until then, all prototypes are zero.

    Args:
        n_clusters: number of clusters K.
        latent_dim: width of the embedding, D.
        n_prototypes: number of prototypes M, at least K.

    Attributes:
        prototypes: prototypes, (M, D), a parameter that is only ever written in place.
        clusters: cluster of each prototype, (M,), int64.

    Raises:
        InputError: there are fewer prototypes than clusters.
    """

    is_soft: ClassVar[bool] = False
    clusters: Tensor

    def __init__(self, n_clusters: int, latent_dim: int, n_prototypes: int) -> None:
        super().__init__(n_clusters, latent_dim)
        if n_prototypes < n_clusters:
            raise InputError(
                f"n_prototypes={n_prototypes} must be at least n_clusters={n_clusters}; several times as many are usual"
            )
        self.prototypes = nn.Parameter(torch.zeros(n_prototypes, latent_dim))
        self.register_buffer("clusters", torch.arange(n_prototypes) % n_clusters)

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            z = z.detach().to(torch.promote_types(z.dtype, torch.float32))
            nearest = nearest_centroids(z, self.prototypes.detach().to(z.dtype))
            return functional.one_hot(self.clusters[nearest], self.n_clusters).to(z.dtype)

    def distances(self, z: Tensor, clusters: Tensor) -> Tensor:
        """Return the distance of embeddings from the nearest prototype, which is one of their clusters, (B,)."""
        prototypes = self.prototypes.detach().to(z)
        distances: Tensor = torch.linalg.vector_norm(z - prototypes[nearest_centroids(z, prototypes)], dim=1)
        return distances

    def margin(self, z: Tensor, q: Tensor) -> Tensor:
        """Return (d2 - d1) / (d2 + d1), (B,), of the distances to the two nearest clusters, by their prototypes."""
        return distance_margin(z, self.prototypes.detach().to(z.dtype), self.clusters)
