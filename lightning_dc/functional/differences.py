"""Differences of the inputs between a cluster and all other samples."""

from __future__ import annotations

import torch
from torch import Tensor


def standardized_differences(counts: Tensor, sums: Tensor, squares: Tensor) -> Tensor:
    r"""Return the signed standardised mean difference (Cohen's d) between each cluster and all other samples.

    .. math:: d_{kj} = \frac{\bar x_{kj} - \bar x_{\neg k, j}}{s_{kj}}

    s is the pooled standard deviation of both groups, so that d does not depend on the unit of the input.

    Args:
        counts: number of samples in each cluster, (K,).
        sums: sum of each input over the samples of each cluster, (K, F), float64. The origin of an input is arbitrary,
            but should be near its values if they are far from 0, since a variance below 1e-12 of the mean square counts
            as rounding.
        squares: sum of the squares of each input, from the same origin, (K, F).

    Returns:
        Differences, (K, F). They are infinite where an input differs between both groups, but within neither of them,
        such as a category of all samples in the cluster and no other sample; 0 where the input is constant; and NaN
        where the cluster contains all samples or none.

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
