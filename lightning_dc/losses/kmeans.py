"""The k-means loss."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.functional import nearest_centroids
from lightning_dc.losses.term import LossTerm


class KMeansLoss(LossTerm):
    r"""Squared distance to the nearest centroid, summed over the latent dimensions.

    .. math:: \|z_i - \mu_{s(i)}\|^2, \quad s(i) = \arg\min_k \|z_i - \mu_k\|^2

    This is the clustering term of DCN (Yang et al. 2017, https://arxiv.org/abs/1610.04794), in which the reconstruction
    error must be summed over the features, too (``Reconstruction(reduction="sum")``), and the distance term of DeepType
    (Chen et al. 2020, https://doi.org/10.1093/bioinformatics/btz769).
    """

    def forward(self, z: Tensor, centroids: Tensor) -> Tensor:
        """Return the squared distance of each sample, (B,).

        Args:
            z: embeddings, (B, D).
            centroids: centroids, (K, D).
        """
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        nearest = nearest_centroids(z.detach(), centroids.detach().to(z.dtype))
        return (z - centroids[nearest]).square().sum(1)
