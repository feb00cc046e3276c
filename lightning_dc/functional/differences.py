"""Which inputs tell a cluster from the rest."""

from __future__ import annotations

import torch
from torch import Tensor


def standardized_differences(counts: Tensor, sums: Tensor, squares: Tensor) -> Tensor:
    r"""Standardised mean difference of each cluster against all other samples, signed (Cohen's d).

    .. math:: d_{kj} = \frac{\bar x_{kj} - \bar x_{\neg k, j}}{s_{kj}}

    s is the pooled standard deviation of the two. It is free of the input's unit.

    Args:
        counts: samples of each cluster, (K,).
        sums: sum of each input over them, (K, F), float64. Any origin does; that of an input far from 0 should be near
            its values, since a variance below 1e-12 of the mean square counts as rounding.
        squares: sum of its squares from the same origin, (K, F).

    Returns:
        (K, F); infinite where the input differs between the two, but within neither: a category that all samples of
        the cluster have, and no other. 0 where it does not differ at all. NaN where all samples or none are in the
        cluster.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0], [2.0], [10.0], [12.0]], dtype=torch.float64)
        >>> sums, squares = (torch.stack([v[:2].sum(0), v[2:].sum(0)]) for v in (x, x**2))
        >>> standardized_differences(torch.tensor([2.0, 2.0]), sums, squares)[:, 0].round(decimals=2)
        tensor([-7.0700,  7.0700], dtype=torch.float64)
    """
    n_in = counts.to(sums)[:, None]
    n_out = n_in.sum(0) - n_in
    mean_in, mean_out = sums / n_in.clamp_min(1), (sums.sum(0) - sums) / n_out.clamp_min(1)
    scatter = squares - n_in * mean_in.square() + (squares.sum(0) - squares) - n_out * mean_out.square()
    variance = scatter.clamp_min(0) / (n_in + n_out - 2).clamp_min(1)
    difference, rounding = mean_in - mean_out, 1e-12 * squares.sum(0) / n_in.sum(0)
    differs = (variance > rounding) | (difference.square() > rounding)
    deviation = variance.where(variance > rounding, 0.0).sqrt()
    return (difference / deviation).where(differs, 0.0).where((n_in > 0) & (n_out > 0), torch.nan)
