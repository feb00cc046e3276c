"""Base class of clustering heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_dc.errors import InputError


class ClusteringHead(nn.Module, ABC):
    """Base class of modules that turn embeddings into soft assignments.

    Args:
        n_clusters: number of clusters K, at least 2.
        latent_dim: width of the embedding, D.

    Attributes:
        is_soft: True if assignments are probabilities; those of a hard head are 0 or 1 and have no confidence.

    Raises:
        InputError: there are fewer than two clusters.
    """

    is_soft: ClassVar[bool] = True

    def __init__(self, n_clusters: int, latent_dim: int) -> None:
        super().__init__()
        if n_clusters < 2:
            raise InputError(f"n_clusters={n_clusters} must be at least 2; a single cluster needs no training")
        self.n_clusters = n_clusters
        self.latent_dim = latent_dim

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Return soft assignments of embeddings, (B, D) to (B, K); rows sum to 1, float32 at least.

        ``z`` is float32 at least, even if the weights of the head are narrower, as in a run in bfloat16.
        """

    def log_assignments(self, z: Tensor) -> tuple[Tensor, ...]:
        """Return logarithms of the soft assignments that losses train, float32 at least.

        It is one table, (B, K), unless the head consists of several ones that are trained together.
        """
        q: Tensor = self(z)
        return (q.clamp_min(torch.finfo(q.dtype).tiny).log(),)

    def distances(self, z: Tensor, clusters: Tensor) -> Tensor | None:
        """Return how far embeddings are from the centre of their clusters, (B,); None if clusters have no centres.

        Args:
            z: embeddings, (B, D), float32 at least.
            clusters: cluster of each of them, (B,), int64.
        """
        return None

    def margin(self, z: Tensor, q: Tensor) -> Tensor:
        """Return how clearly samples belong to their cluster rather than to the next one, (B,), not negative.

        It is 0 for a sample that belongs to both alike. Here it is the logarithm of the ratio of the two largest soft
        assignments; a hard head compares distances.

        Args:
            z: embeddings, (B, D).
            q: their soft assignments, (B, K).
        """
        largest = q.clamp_min(torch.finfo(q.dtype).tiny).log().topk(2).values
        return largest[:, 0] - largest[:, 1]


def soft_head(head: ClusteringHead) -> ClusteringHead:
    """Return a head after a check that its assignments are soft, so that losses of them have a gradient.

    Raises:
        InputError: they are 0 or 1.
    """
    if not head.is_soft:
        raise InputError(f"assignments of {type(head).__name__} are 0 or 1 and have no gradient; use a soft head")
    return head


HeadFactory = Callable[[int, int], ClusteringHead]
"""Function that builds a clustering head from the number of clusters K and the width D of the representation."""
