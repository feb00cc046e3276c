"""Optimal transport."""

from __future__ import annotations

import math

from torch import Tensor


def balanced_assignment(scores: Tensor, epsilon: float, n_iterations: int, shares: Tensor | None = None) -> Tensor:
    """Return assignments of samples to clusters with given shares that have large scores, (B, K); rows sum to 1.

    They maximise the sum of assignments times scores plus epsilon times their entropy, found by the Sinkhorn iteration
    in logarithms (Cuturi 2013, https://arxiv.org/abs/1306.0895), which ends with the rows.

    Args:
        scores: score of each sample and cluster, (B, K).
        epsilon: strength of the entropy.
        n_iterations: number of iterations.
        shares: share of each cluster, (K,); None for equal shares.

    Example:
        >>> import torch
        >>> balanced_assignment(torch.zeros(4, 2), epsilon=0.1, n_iterations=3)[0]
        tensor([0.5000, 0.5000])
    """
    n_samples, n_clusters = scores.shape
    log_shares = scores.new_full((n_clusters,), -math.log(n_clusters)) if shares is None else shares.log()
    log_plan = scores / epsilon
    for _ in range(n_iterations):
        log_plan = log_plan + log_shares + math.log(max(1, n_samples)) - log_plan.logsumexp(0)
        log_plan = log_plan - log_plan.logsumexp(1, keepdim=True)
    return log_plan.exp()
