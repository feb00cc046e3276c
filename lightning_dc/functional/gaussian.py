"""Densities of Gaussian mixtures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_MOST_ELEMENTS = 1 << 24  # of differences between samples and means that are held at a time: 64 MiB in float32


def gaussian_mixture_log_joint(z: Tensor, log_weights: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """Return the logarithm of weight times density of each component at each sample, (N, K).

    Its softmax over the components is the responsibility of each of them, and its logsumexp is the log density of the
    mixture (Bishop 2006, Pattern Recognition and Machine Learning, eq. 9.7 and 9.13).

    Args:
        z: samples, (N, D).
        log_weights: logarithms of the weights, (K,).
        means: means, (K, D).
        factors: triangular factors U of the precisions, (K, D, D), with U U^T the inverse of the covariance.

    Example:
        >>> one = gaussian_mixture_log_joint(torch.zeros(1, 2), torch.zeros(1), torch.zeros(1, 2), torch.eye(2)[None])
        >>> round(float(one), 4)
        -1.8379
    """
    n_clusters, dim = means.shape
    constant = log_weights + factors.diagonal(dim1=1, dim2=2).log().sum(1) - dim / 2 * math.log(2 * math.pi)
    rows = max(1, _MOST_ELEMENTS // max(1, n_clusters * dim))
    whole = torch.compiler.is_compiling() or len(z) <= rows  # a graph for batches of any size has no branch
    parts = [z] if whole else torch.split(z, rows)
    return torch.cat(
        [constant - torch.bmm(part[None] - means[:, None], factors).square().sum(2).T / 2 for part in parts]
    )
