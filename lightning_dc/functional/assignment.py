"""Soft assignments and target distributions (DEC, Xie et al. 2016, https://arxiv.org/abs/1511.06335)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_DIFFERENCES = 1 << 26  # numbers held at a time: 256 MiB in float32


def squared_distances(z: Tensor, centroids: Tensor) -> Tensor:
    """Return squared Euclidean distances, computed as sums of squared differences.

    Unlike an expansion into products, differences have no cancellation for data far from the origin, and no negative
    results. From 2^26 differences on, rows are taken in blocks, so that B K D numbers need not fit into memory. The
    gradient then computes the differences again instead of keeping them.

    Args:
        z: points, (B, D).
        centroids: centroids, (K, D).

    Returns:
        Squared distances, (B, K).
    """
    n_rows = max(1, _DIFFERENCES // max(1, centroids.numel()))
    if torch.compiler.is_compiling() or len(z) <= n_rows:  # an exported model takes batches of any size
        return _sums_of_squares(z, centroids)
    blocks = torch.split(z, n_rows)
    if not torch.is_grad_enabled():
        return torch.cat([_sums_of_squares(rows, centroids) for rows in blocks])
    return torch.cat(
        [
            checkpoint(_sums_of_squares, rows, centroids, use_reentrant=False, preserve_rng_state=False)
            for rows in blocks
        ]
    )


def _sums_of_squares(z: Tensor, centroids: Tensor) -> Tensor:
    return (z.unsqueeze(1) - centroids).square().sum(-1)


def nearest_centroids(z: Tensor, centroids: Tensor) -> Tensor:
    """Return the nearest centroid of each point, from differences, which are exact far from the origin, too.

    Args:
        z: points, (B, D).
        centroids: centroids, (K, D).

    Returns:
        Numbers of the centroids, (B,), int64; on a tie, the lower number.

    Example:
        >>> nearest_centroids(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [1.0]]))
        tensor([1, 0])
    """
    return torch.cdist(z, centroids, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)


def distance_margin(z: Tensor, points: Tensor, clusters: Tensor) -> Tensor:
    """Return how much nearer each sample is to its cluster than to the next one: (d2 - d1) / (d2 + d1).

    Args:
        z: samples, (B, D).
        points: points that stand for clusters, such as centroids, (M, D), of two clusters at least.
        clusters: cluster of each point, (M,), int64.

    Returns:
        Margins between 0, as near to both, and 1, (B,).

    Example:
        >>> points = torch.tensor([[0.0], [1.0], [4.0]])
        >>> distance_margin(torch.tensor([[1.0], [2.0], [2.5]]), points, torch.tensor([0, 0, 1]))
        tensor([1.0000, 0.3333, 0.0000])
    """
    distances = torch.cdist(z, points, compute_mode="donot_use_mm_for_euclid_dist")
    nearest, at = distances.min(1)
    is_own = clusters[at][:, None] == clusters
    second = distances.masked_fill(is_own, float("inf")).min(1).values
    return (second - nearest) / (second + nearest).clamp_min(torch.finfo(z.dtype).tiny)


def student_t_assignment(z: Tensor, centroids: Tensor, nu: float = 1.0) -> Tensor:
    r"""Return soft assignments by the Student-t kernel, eq. 1 of the DEC paper.

    .. math:: q_{ij} \propto (1 + \|z_i - \mu_j\|^2 / \nu)^{-(\nu + 1) / 2}

    Args:
        z: embeddings, (B, D).
        centroids: centroids, (K, D).
        nu: degrees of freedom (the paper's alpha), positive.

    Returns:
        Soft assignments, (B, K); rows sum to 1.

    Example:
        >>> student_t_assignment(torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [0.0, 3.0]]))
        tensor([[0.9091, 0.0909]])
    """
    # Softmax of the logarithm of the kernel: the kernel underflows for a large nu and points far from all centroids.
    return torch.softmax(torch.log1p(squared_distances(z, centroids) / nu) * (-(nu + 1.0) / 2.0), 1)


def soft_frequencies(q: Tensor) -> Tensor:
    """Return the soft cluster frequencies f_j = sum_i q_ij, (K,), float64, of soft assignments, (N, K)."""
    return q.sum(0, dtype=torch.float64)


def target_distribution(q: Tensor, frequencies: Tensor) -> Tensor:
    r"""Return the target distribution, eq. 3 of the DEC paper.

    .. math:: p_{ij} = \frac{q_{ij}^2 / f_j}{\sum_k q_{ik}^2 / f_k}

    Args:
        q: soft assignments, (B, K), rows sum to 1.
        frequencies: soft cluster frequencies of the **whole** data set, (K,), positive.

    Returns:
        Target distribution, (B, K), in the dtype of ``q``; rows sum to 1.

    Example:
        >>> q = torch.tensor([[0.6, 0.4], [0.2, 0.8]])
        >>> target_distribution(q, soft_frequencies(q))
        tensor([[0.7714, 0.2286],
                [0.0857, 0.9143]])
    """
    weight = q.square() / frequencies.clamp_min(torch.finfo(q.dtype).tiny).to(q.dtype)
    return weight / weight.sum(1, keepdim=True)


def assignment_entropy(q: Tensor) -> Tensor:
    """Return the mean entropy of soft assignments in nats, between 0 (certain) and log K (undecided).

    Args:
        q: soft assignments, (B, K), rows sum to 1.

    Returns:
        Mean entropy, scalar, float64.
    """
    entropies: Tensor = torch.special.entr(q.double()).sum(1)
    return entropies.mean()


def size_statistics(sizes: Tensor) -> dict[str, float]:
    """Return the smallest and largest share of a cluster, and the number of empty clusters.

    Args:
        sizes: number of samples in each cluster, (K,).

    Returns:
        Shares of the samples in the ``smallest`` and the ``largest`` cluster, and the number of ``empty`` clusters.

    Example:
        >>> size_statistics(torch.tensor([3, 0, 1]))
        {'smallest': 0.0, 'largest': 0.75, 'empty': 1.0}
    """
    shares = sizes.double() / sizes.sum().clamp_min(1)
    return {"smallest": float(shares.min()), "largest": float(shares.max()), "empty": float((sizes == 0).sum())}


def zipf_shares(n_clusters: int, exponent: float) -> Tensor:
    """Return shares that fall as a power of the rank, 1 / k^s over their sum, (K,), float64.

    Args:
        n_clusters: number of clusters K.
        exponent: exponent s; 0 gives equal shares, 1 is Zipf's law.

    Example:
        >>> zipf_shares(3, 1.0)
        tensor([0.5455, 0.2727, 0.1818], dtype=torch.float64)
    """
    powers = torch.arange(1, n_clusters + 1, dtype=torch.float64).pow(-exponent)
    return powers / powers.sum()


def mutual_information(frequencies: Tensor, entropy: Tensor) -> Tensor:
    """Return the mutual information of samples and clusters, H(mean q) - mean H(q), in nats, (...).

    Args:
        frequencies: mean soft assignments, (..., K).
        entropy: mean entropy of the soft assignments of a sample, (...).

    Example:
        >>> mutual_information(torch.tensor([0.5, 0.5]), torch.tensor(0.0))
        tensor(0.6931)
    """
    return -torch.xlogy(frequencies, frequencies).sum(-1) - entropy
