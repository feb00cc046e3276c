"""K-means on batches."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.distributed import sum_


def counted_update_(
    centroids: Tensor,
    counts: Tensor,
    x: Tensor,
    labels: Tensor,
    sample_weight: Tensor | None = None,
    *,
    distributed: bool = False,
) -> None:
    """Average samples into their centroids, in place.

    The closed form of pulling a centroid by one over the number of its samples, one sample after the other
    (Sculley 2010; DCN, https://arxiv.org/abs/1610.04794, eq. 16).

    Args:
        centroids: centroids, (K, D).
        counts: number of samples that each centroid stands for, (K,), float64.
        x: samples, (B, D).
        labels: centroid of each sample, (B,), int64.
        sample_weight: weight of each sample, (B,); None for 1.
        distributed: each process has its own samples; centroids and counts are the same on all.
    """
    weight = torch.ones(len(x), dtype=torch.float64, device=x.device) if sample_weight is None else sample_weight
    weight = weight.to(torch.float64).unsqueeze(1)
    totals = torch.zeros(len(centroids), x.shape[1] + 1, dtype=torch.float64, device=x.device)
    totals.index_add_(0, labels, torch.cat([x.to(torch.float64), torch.ones_like(weight)], 1) * weight)
    if distributed:
        sum_(totals)
    sums, sizes = totals[:, :-1], totals[:, -1]
    counts += sizes
    pull = (sums - sizes.unsqueeze(1) * centroids.to(torch.float64)) / counts.clamp_min(1e-300).unsqueeze(1)
    centroids += pull.to(centroids.dtype)
