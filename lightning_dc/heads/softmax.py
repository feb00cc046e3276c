"""Heads that are classifiers: softmax layers, one or several on the same embedding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_dc.errors import InputError
from lightning_dc.heads.head import ClusteringHead


class SoftmaxHead(ClusteringHead):
    """One or several linear layers or small networks with a softmax, as in DEPICT, IMSAT and SCAN.

    Several heads on one embedding start from different weights and are trained together; a ``HeadChoice`` callback
    chooses the one that gives the clusters. Further heads with more clusters shape the embedding and give no clusters.
    Both are as in IIC (Ji et al. 2019, https://arxiv.org/abs/1807.06653, section 3.2).

    Args:
        n_clusters: number of clusters K.
        latent_dim: width of the embedding, D.
        n_heads: number of heads among which the clusters are chosen.
        over_clustering: numbers of clusters of further heads, as multiples of K.
        hidden_dim: width of a hidden layer with ReLU in each head; None for linear heads.

    Attributes:
        chosen: number of the head that gives the clusters, (), int64.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> head = SoftmaxHead(n_clusters=3, latent_dim=5, n_heads=2, over_clustering=[4])
        >>> z = torch.zeros(7, 5)
        >>> head(z).shape, [log_q.shape[1] for log_q in head.log_assignments(z)]
        (torch.Size([7, 3]), [3, 3, 12])
    """

    chosen: Tensor

    def __init__(
        self,
        n_clusters: int,
        latent_dim: int,
        n_heads: int = 1,
        over_clustering: Sequence[int] = (),
        hidden_dim: int | None = None,
    ) -> None:
        super().__init__(n_clusters, latent_dim)
        for name, value in (("n_heads", n_heads), ("hidden_dim", hidden_dim)):
            if value is not None and value < 1:
                raise InputError(f"{name}={value} of SoftmaxHead must be at least 1")
        if min(over_clustering, default=2) < 2:
            raise InputError(f"over_clustering={list(over_clustering)} must name multiples of K, at least 2 each")
        self.n_heads = n_heads
        self.over_clustering = tuple(over_clustering)
        self.hidden_dim = hidden_dim
        sizes = [n_clusters] * n_heads + [multiple * n_clusters for multiple in self.over_clustering]
        self.heads = nn.ModuleList(_classifier(latent_dim, hidden_dim, size) for size in sizes)
        self.register_buffer("chosen", torch.tensor(0))

    def forward(self, z: Tensor) -> Tensor:
        if self.n_heads == 1:
            return self._logits(z, self.heads[0]).softmax(1)
        if not torch.compiler.is_compiling():  # other heads then have no gradient
            return self._logits(z, self.heads[int(self.chosen)]).softmax(1)
        logits = torch.stack([self._logits(z, head) for head in self.heads[: self.n_heads]])
        return logits.index_select(0, self.chosen.reshape(1))[0].softmax(1)  # an index would be fixed in the program

    def log_assignments(self, z: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._logits(z, head).log_softmax(1) for head in self.heads)

    @staticmethod
    def _logits(z: Tensor, head: nn.Module) -> Tensor:
        """Return the logits of a head, (B, its clusters), float32 at least."""
        logits: Tensor = head(z.to(next(head.parameters()).dtype))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _classifier(n_inputs: int, n_hidden: int | None, n_outputs: int) -> nn.Module:
    if n_hidden is None:
        return nn.Linear(n_inputs, n_outputs)
    return nn.Sequential(nn.Linear(n_inputs, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_outputs))
