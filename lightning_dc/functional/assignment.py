"""Soft assignments and target distributions (DEC, Xie et al. 2016, https://arxiv.org/abs/1511.06335)."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(z: Tensor, centroids: Tensor) -> Tensor:
    """Squared Euclidean distances, computed as a sum of squared differences.

    No expansion into products: no cancellation for data far from the origin, and no negative values.

    Args:
        z: points, (B, D).
        centroids: centroids, (K, D).

    Returns:
        Squared distances, (B, K).
    """
    return (z.unsqueeze(1) - centroids).square().sum(-1)


def nearest_centroids(z: Tensor, centroids: Tensor) -> Tensor:
    """Nearest centroid of each point, from differences: exact far from the origin, too.

    Args:
        z: points, (B, D).
        centroids: centroids, (K, D).

    Returns:
        Numbers of the centroids, (B,), int64, the lower one on a tie.

    Example:
        >>> nearest_centroids(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [1.0]]))
        tensor([1, 0])
    """
    return torch.cdist(z, centroids, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)


def student_t_assignment(z: Tensor, centroids: Tensor, nu: float = 1.0) -> Tensor:
    r"""Soft assignment by the Student-t kernel, eq. 1 of the DEC paper.

    .. math:: q_{ij} \propto (1 + \|z_i - \mu_j\|^2 / \nu)^{-(\nu + 1) / 2}

    Args:
        z: embeddings, (B, D).
        centroids: centroids, (K, D).
        nu: degrees of freedom (the paper's alpha), positive.

    Returns:
        Soft assignments, (B, K), rows sum to 1.

    Example:
        >>> student_t_assignment(torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [0.0, 3.0]]))
        tensor([[0.9091, 0.0909]])
    """
    # A softmax of the kernel's logarithm: a power of a large nu underflows for points far from every centroid.
    return torch.softmax(torch.log1p(squared_distances(z, centroids) / nu) * (-(nu + 1.0) / 2.0), 1)


def soft_frequencies(q: Tensor) -> Tensor:
    """Soft cluster frequencies f_j = sum_i q_ij in float64, (K,), from soft assignments (N, K)."""
    return q.sum(0, dtype=torch.float64)


def target_distribution(q: Tensor, frequencies: Tensor) -> Tensor:
    r"""Target distribution, eq. 3 of the DEC paper.

    .. math:: p_{ij} = \frac{q_{ij}^2 / f_j}{\sum_k q_{ik}^2 / f_k}

    Args:
        q: soft assignments, (B, K), rows sum to 1.
        frequencies: soft cluster frequencies of the **whole** data set, (K,), positive.

    Returns:
        Target distribution, (B, K), rows sum to 1, dtype of ``q``.

    Example:
        >>> q = torch.tensor([[0.6, 0.4], [0.2, 0.8]])
        >>> target_distribution(q, soft_frequencies(q))
        tensor([[0.7714, 0.2286],
                [0.0857, 0.9143]])
    """
    weight = q.square() / frequencies.clamp_min(torch.finfo(q.dtype).tiny).to(q.dtype)
    return weight / weight.sum(1, keepdim=True)


def assignment_entropy(q: Tensor) -> Tensor:
    """Mean entropy of soft assignments in nats, between 0 (certain) and log K (undecided).

    Args:
        q: soft assignments, (B, K), rows sum to 1.

    Returns:
        Scalar, float64.
    """
    entropies: Tensor = torch.special.entr(q.double()).sum(1)
    return entropies.mean()


def size_statistics(sizes: Tensor) -> dict[str, float]:
    """Extremes of the cluster sizes.

    Args:
        sizes: samples in each cluster, (K,).

    Returns:
        ``smallest`` and ``largest`` share of the samples, and the number of ``empty`` clusters.

    Example:
        >>> size_statistics(torch.tensor([3, 0, 1]))
        {'smallest': 0.0, 'largest': 0.75, 'empty': 1.0}
    """
    shares = sizes.double() / sizes.sum().clamp_min(1)
    return {"smallest": float(shares.min()), "largest": float(shares.max()), "empty": float((sizes == 0).sum())}
