"""The head of a Gaussian mixture."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.functional import gaussian_mixture_log_joint
from lightning_dc.heads.centroid import CentroidHead


class GaussianMixtureHead(CentroidHead):
    """Head of a Gaussian mixture: soft assignments are the responsibilities of its components.

    The centroids are the means. Weights and covariances are buffers, which a ``MixtureRefresh`` callback sets together
    with the means; until then all components are standard normal. Computations are in float32 at least.

    Args:
        n_clusters: number of components K.
        latent_dim: width of the embedding, D.

    Attributes:
        log_weights: logarithms of the weights of the components, (K,).
        factors: triangular factors U of the precisions, (K, D, D), with U U^T the inverse of the covariance.
    """

    log_weights: Tensor
    factors: Tensor

    def __init__(self, n_clusters: int, latent_dim: int) -> None:
        super().__init__(n_clusters, latent_dim)
        self.register_buffer("log_weights", torch.zeros(n_clusters))
        self.register_buffer("factors", torch.eye(latent_dim).repeat(n_clusters, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            z = z.to(torch.promote_types(z.dtype, torch.float32))
            parts = (part.to(z.dtype) for part in (self.log_weights, self.centroids, self.factors))
            return gaussian_mixture_log_joint(z, *parts).softmax(1)
