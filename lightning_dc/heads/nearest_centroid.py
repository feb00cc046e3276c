"""The head of k-means."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lightning_dc.functional import distance_margin, nearest_centroids
from lightning_dc.heads.centroid import CentroidHead


class NearestCentroidHead(CentroidHead):
    """Head of k-means (Lloyd 1982): hard assignment to the nearest centroid, on a tie to the one of lower number.

    A row of its assignments is 1 for one cluster and 0 for the others, without a gradient.
    """

    is_soft: ClassVar[bool] = False

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            z = z.detach().to(torch.promote_types(z.dtype, torch.float32))
            nearest = nearest_centroids(z, self.centroids.detach().to(z.dtype))
            return functional.one_hot(nearest, self.n_clusters).to(z.dtype)

    def margin(self, z: Tensor, q: Tensor) -> Tensor:
        """Return (d2 - d1) / (d2 + d1), (B,), of the distances to the nearest and to the second nearest centroid."""
        return distance_margin(z, self.centroids.detach().to(z.dtype), torch.arange(self.n_clusters, device=z.device))
