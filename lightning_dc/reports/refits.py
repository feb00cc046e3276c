"""Refits of the clustering head on halves of the samples."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.heads import ClusteringHead
from lightning_dc.randomness import mix_seed
from lightning_dc.reports.reliability import keeps_cluster
from lightning_dc.training import HeadFit

_STREAM = 0x4EF175  # tells these random numbers from those of the fit


@torch.no_grad()
def kept_in_refits(
    fit: HeadFit, head: ClusteringHead, z: Tensor, labels: Tensor, *, n_refits: int, seed: int
) -> Tensor:
    """Fit the head on random halves of the samples, and return which samples keep their cluster in each refit.

    Clusters are compared on all samples. The half and the random numbers of a refit follow from the seed and the number
    of the refit, so that more refits begin with the same ones.

    Args:
        fit: callback that fits the head.
        head: head of the run, which stays as it is.
        z: embeddings, (n, D).
        labels: clusters of the run, (n,).
        n_refits: number of refits R.
        seed: seed of the halves and of the refits.

    Returns:
        Whether a sample keeps its cluster, (R, n), in main memory.
    """
    kept = []
    for number in range(n_refits):
        generator = torch.Generator().manual_seed(mix_seed(seed, _STREAM, number))
        half = torch.randperm(len(z), generator=generator)[: len(z) // 2].sort().values
        refitted = fit.fit_copy(head, z[half.to(z.device)], generator)
        kept.append(keeps_cluster(labels.cpu(), refitted(z).argmax(1).cpu()))
    return torch.stack(kept)
