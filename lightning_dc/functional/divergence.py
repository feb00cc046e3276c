"""Losses of samples: every function returns one value for each row, so the mean over a global batch is exact."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return KL(P || Q) of each row in nats, eq. 2 of the DEC paper (https://arxiv.org/abs/1511.06335).

    Args:
        p: target distribution, (B, K), rows sum to 1; zeros contribute nothing.
        q: soft assignments, (B, K), rows sum to 1; zeros count as the smallest normal floating-point number.

    Returns:
        Divergences, (B,).

    Example:
        >>> kl_divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]))
        tensor([0.6931])
    """
    return (torch.xlogy(p, p) - p * q.clamp_min(torch.finfo(q.dtype).tiny).log()).sum(1)


def mean_squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return the squared reconstruction error of each sample, averaged over its features.

    Args:
        x: inputs, (B, ...).
        x_hat: reconstructions, (B, ...).

    Returns:
        Errors, (B,).

    Example:
        >>> mean_squared_error(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]]))
        tensor([5.])
    """
    return functional.mse_loss(x_hat, x, reduction="none").flatten(1).mean(1)


def disagreement(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the negative log probability that draws from two distributions agree, -log sum_k p_k q_k, in nats.

    Args:
        log_p: logarithms of a distribution, (..., K).
        log_q: logarithms of another one, (..., K).

    Returns:
        Values, (...).

    Example:
        >>> disagreement(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log())
        tensor(0.6931)
    """
    return -(log_p + log_q).logsumexp(-1)
