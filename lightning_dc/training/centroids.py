"""Placing of centroids by anything but the optimizer."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.distributed import broadcast_
from lightning_dc.heads import centroid_head
from lightning_dc.training.module import ClusteringModule

_DIRECTIONS = ("momentum_buffer", "exp_avg")  # what the optimizers of torch call the mean of earlier gradients


@torch.no_grad()
def place_centroids(module: ClusteringModule, centroids: Tensor, clusters: Tensor | None = None) -> None:
    """Place centroids, the same on all processes, and let them start without momentum.

    The gradients that an optimizer remembers are those of the centroids before, and would move the new ones away.

    Args:
        module: the method.
        centroids: new centroids, (n, D).
        clusters: their clusters, (n,), int64; None for all K.
    """
    own = centroid_head(module.model.head).centroids
    rows = slice(None) if clusters is None else clusters
    own[rows] = centroids.to(own.dtype)  # in place: the optimizer holds this very tensor
    broadcast_(own.data)  # processors of different kinds may round differently
    state = module.optimizer.state.get(own, {})
    for name in _DIRECTIONS:
        if state.get(name) is not None:
            state[name][rows] = 0.0
    module.state.centroids_set_at = module.global_step
