"""Matching of the clusters of two clusterings."""

from __future__ import annotations

import torch
from torch import Tensor


def match_clusters(table: Tensor) -> Tensor:
    """Match clusters one to one so that as many samples as possible keep their cluster (Hungarian algorithm).

    Args:
        table: number of samples in each pair of a previous and a present cluster, (K, K).

    Returns:
        Present number of each previous cluster, (K,), int64. ``centroids[match]`` has the previous order.

    Example:
        >>> match_clusters(torch.tensor([[0, 0, 2], [1, 0, 0], [0, 1, 0]]))
        tensor([2, 0, 1])
    """
    from scipy.optimize import linear_sum_assignment

    _, match = linear_sum_assignment(table.cpu().numpy(), maximize=True)
    return torch.as_tensor(match, device=table.device)
