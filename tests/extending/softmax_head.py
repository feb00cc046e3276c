"""A clustering head of a user's own, without centroids."""

import torch
from torch import Tensor, nn

from lightning_dc import ClusteringHead


class SoftmaxHead(ClusteringHead):
    """A linear layer and a softmax, as in DEPICT (Dizaji et al. 2017, https://arxiv.org/abs/1704.06327).

    Args:
        n_clusters: number of clusters K.
        latent_dim: width of the embedding, D.
        temperature: divisor of the scores.
    """

    def __init__(self, n_clusters: int, latent_dim: int, temperature: float = 1.0) -> None:
        super().__init__(n_clusters, latent_dim)
        self.linear = nn.Linear(latent_dim, n_clusters)
        self.temperature = temperature

    def forward(self, z: Tensor) -> Tensor:
        """Return soft assignments, (B, D) to (B, K)."""
        scores = self.linear(z.to(self.linear.weight.dtype)).to(z.dtype)
        return torch.softmax(scores / self.temperature, dim=1)
