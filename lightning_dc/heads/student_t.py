"""The head of DEC."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.functional import student_t_assignment
from lightning_dc.heads.centroid import CentroidHead


class StudentTHead(CentroidHead):
    """Head of DEC (https://arxiv.org/abs/1511.06335, eq. 1): soft assignment by a Student-t kernel around centroids.

    The centroids are trained by gradients. Distances are computed in float32, or in float64 for float64 embeddings,
    whatever the precision of the run.

    Args:
        n_clusters: number of clusters K.
        latent_dim: width of the embedding, D.
        nu: degrees of freedom of the kernel (the paper's alpha), positive.

    Raises:
        InputError: ``nu`` is not positive.
    """

    def __init__(self, n_clusters: int, latent_dim: int, nu: float = 1.0) -> None:
        super().__init__(n_clusters, latent_dim)
        if nu <= 0:
            raise InputError(f"nu={nu} must be positive; the DEC paper uses 1")
        self.nu = nu

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            z = z.to(torch.promote_types(z.dtype, torch.float32))
            return student_t_assignment(z, self.centroids.to(z.dtype), self.nu)
