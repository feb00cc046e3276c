"""Which cluster of one clustering is which of another."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.functional.contingency import contingency_table


def match_clusters(previous: Tensor, current: Tensor, n_clusters: int) -> Tensor:
    """Match clusters one to one so that as many samples as possible keep their number (Hungarian algorithm).

    Args:
        previous: cluster of each sample before, (N,).
        current: cluster of each sample now, (N,).
        n_clusters: K.

    Returns:
        Present number of each previous cluster, (K,), int64: ``centroids[match]`` are in the previous order.

    Example:
        >>> match_clusters(torch.tensor([0, 0, 1, 2]), torch.tensor([2, 2, 0, 1]), 3)
        tensor([2, 0, 1])
    """
    from scipy.optimize import linear_sum_assignment

    table = contingency_table(previous, current, n_clusters, n_clusters)
    _, match = linear_sum_assignment(table.cpu().numpy(), maximize=True)
    return torch.as_tensor(match, device=current.device)
