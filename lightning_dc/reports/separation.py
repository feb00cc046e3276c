"""Whether there are gaps between clusters."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

_RIDGE = 0.1  # share of the common covariance that is spherical
_N_PLACES = 33  # between two means, at which the density is computed
_BANDWIDTH = 1.06  # of Scott's rule, in standard deviations times n^(-1/5)


def separation(z: Tensor, labels: Tensor) -> float:
    """Return the depth of the valley between the two clusters that are separated least; NaN with a single cluster.

    It is 1 - m / h, where m is the least density between the means of two clusters, and h the height of the lower one
    of the two peaks beside it: 1 where a gap has no samples at all, 0 where the density has no valley. Parts of one
    round or long cluster have none, wherever it is cut. This is the ridgeline ratio of Hennig (2010,
    https://doi.org/10.1007/s11634-010-0058-3, section 4.1.2), which needs no mixture here: the density is a kernel
    estimate of the samples of both clusters along Fisher's linear discriminant of the two, with the covariance within
    all clusters, of which a tenth is made spherical.

    Args:
        z: points, (n, D), of few dimensions compared with n.
        labels: cluster of each point, (n,).

    Example:
        >>> x = torch.linspace(0, 1, 200)[:, None]
        >>> round(separation(torch.cat([x, x + 3]), torch.arange(2).repeat_interleave(200)), 2)
        1.0
        >>> round(separation(x, torch.arange(2).repeat_interleave(100)), 1)
        0.0
    """
    clusters = [z[labels == k].double() for k in sorted(set(labels.tolist()))]
    if len(clusters) < 2:
        return float("nan")
    means = [cluster.mean(0) for cluster in clusters]
    centred = torch.cat([cluster - mean for cluster, mean in zip(clusters, means, strict=True)])
    within = centred.T @ centred / len(centred)
    mean_variance = within.trace() / len(within)
    if mean_variance <= 0:  # the samples of a cluster are all the same
        return 1.0
    identity = torch.eye(len(within), dtype=within.dtype)
    precision = torch.linalg.inv((1 - _RIDGE) * within + _RIDGE * mean_variance * identity)
    return min(
        _depth(*(cluster @ direction for cluster in (clusters[a], clusters[b])))
        for a, b in itertools.combinations(range(len(clusters)), 2)
        for direction in [precision @ (means[b] - means[a])]
    )


def _depth(first: Tensor, second: Tensor) -> float:
    """Return the depth of the valley between the means of two clusters on a line."""
    places = torch.lerp(first.mean(), second.mean(), torch.linspace(0, 1, _N_PLACES, dtype=first.dtype))
    density = _density(first, places) + _density(second, places)
    lowest = int(density.argmin())
    lower_peak = min(density[: lowest + 1].max(), density[lowest:].max())
    return 1.0 - float(density[lowest] / lower_peak)


def _density(t: Tensor, places: Tensor) -> Tensor:
    """Return the density of points times their number at some places, but for a common factor."""
    width = (_BANDWIDTH * t.std(correction=0) * len(t) ** -0.2).clamp_min(torch.finfo(t.dtype).eps)
    density: Tensor = (-0.5 * ((places[:, None] - t) / width).square()).exp().sum(1) / width
    return density
