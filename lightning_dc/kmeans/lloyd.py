"""Exact k-means: greedy k-means++ seeding and Lloyd's iterations, all restarts at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dc.errors import InputError

_SEEDING_ELEMENTS = 1 << 23  # distances to candidates held at a time: 32 MiB in fp32, twice
_CHUNK_ELEMENTS = 1 << 19  # distances held at a time: 2 MiB in fp32, within the cache


class KMeansResult(NamedTuple):
    """The best of all restarts.

    Attributes:
        centroids: (K, D), dtype of the data.
        labels: nearest centroid of each sample, (N,), int64; the lower number on a tie.
        inertia: sum of squared distances to the nearest centroid.
        n_iterations: iterations of the best restart.
    """

    centroids: Tensor
    labels: Tensor
    inertia: float
    n_iterations: int


def kmeans(
    x: Tensor,
    n_clusters: int,
    *,
    n_init: int = 20,
    init: Tensor | None = None,
    max_iter: int = 300,
    tol: float = 1e-4,
    generator: torch.Generator | None = None,
) -> KMeansResult:
    """K-means with greedy k-means++ seeding (Arthur and Vassilvitskii 2007), the best of ``n_init`` restarts.

    The restarts run side by side: one matrix product an iteration serves all of them. Data are centred first, so
    that distances keep their precision far from the origin.

    Args:
        x: samples, (N, D), float; computed in float32 at least.
        n_clusters: K, between 1 and N.
        n_init: number of restarts.
        init: centroids to start from, (K, D), in place of seeding and restarts.
        max_iter: most iterations of a restart.
        tol: a restart has converged when its centroids' squared shift is at most this share of the mean
            variance of the features (scikit-learn's rule).
        generator: random numbers of the seeding, on the device of ``x``.

    Returns:
        Centroids, labels and inertia.

    Raises:
        InputError: too few samples, an ``init`` of another shape, or values that are not finite.
    """
    if x.ndim != 2:
        raise InputError(f"x of k-means must be a matrix (N, D), got shape {tuple(x.shape)}; flatten it first")
    if not 1 <= n_clusters <= len(x):
        raise InputError(f"n_clusters={n_clusters} must lie between 1 and the {len(x)} samples; choose fewer clusters")
    if n_init < 1:
        raise InputError(f"n_init={n_init} must be at least 1")
    if init is not None and init.shape != (n_clusters, x.shape[1]):
        raise InputError(f"init of k-means has shape {tuple(init.shape)}; give ({n_clusters}, {x.shape[1]})")
    x = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    if not torch.isfinite(x).all():
        raise InputError("the data of k-means hold NaN or infinite values; clean the inputs or lower the learning rate")
    mean = x.mean(0)
    centred = x - mean
    threshold = tol * float(centred.square().mean())
    with torch.autocast(x.device.type, enabled=False):
        if init is None:
            seeds = kmeans_plusplus(centred, n_clusters, n_init=n_init, generator=generator)
        else:
            seeds = (init.detach().to(x.dtype) - mean).unsqueeze(0)
        centroids, n_iterations = _lloyd(centred, seeds, max_iter, threshold)
        inertias = torch.stack([_inertia(centred, restart) for restart in centroids])
        best = int(inertias.argmin())
        labels = _label(centred, centroids[best])
    return KMeansResult(centroids[best] + mean, labels, float(inertias[best]), int(n_iterations[best]))


def kmeans_plusplus(x: Tensor, n_clusters: int, *, n_init: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """Greedy k-means++ seeding of several restarts at once.

    Each next seed is the best of ``2 + log K`` candidates that are drawn with probability proportional to the squared
    distance to the nearest seed, as in scikit-learn.

    Args:
        x: samples, (N, D), float, centred.
        n_clusters: K.
        n_init: number of restarts R.
        generator: random numbers, on the device of ``x``.

    Returns:
        Seeds, (R, K, D).
    """
    together = max(1, _SEEDING_ELEMENTS // ((2 + int(math.log(n_clusters))) * len(x)))
    sizes = [min(together, n_init - done) for done in range(0, n_init, together)]
    return torch.cat([_seed(x, n_clusters, size, generator) for size in sizes])


def _seed(x: Tensor, n_clusters: int, n_init: int, generator: torch.Generator | None) -> Tensor:
    """Seeds of restarts that fit into memory together, (R, K, D)."""
    n_samples, n_candidates = len(x), 2 + int(math.log(n_clusters))
    norms = x.square().sum(1)
    restarts = torch.arange(n_init, device=x.device)
    first = torch.randint(n_samples, (n_init,), generator=generator, device=x.device)
    chosen = [first]
    nearest = _distances_to(x, norms, first)  # (R, N)
    for _ in range(1, n_clusters):
        cumulative = nearest.cumsum(1, dtype=torch.float64)
        draws = torch.rand(n_init, n_candidates, generator=generator, device=x.device, dtype=torch.float64)
        candidates = torch.searchsorted(cumulative, draws * cumulative[:, -1:]).clamp_max_(n_samples - 1)
        closer = _distances_to(x, norms, candidates.flatten()).view(n_init, n_candidates, n_samples)
        closer = torch.minimum(closer, nearest.unsqueeze(1))
        best = closer.sum(2).argmin(1)
        nearest = closer[restarts, best]
        chosen.append(candidates[restarts, best])
    return x[torch.stack(chosen, 1)]


class _Assignment(NamedTuple):
    sums: Tensor  # (R, K, D), float64
    counts: Tensor  # (R, K), float64


def _distances_to(x: Tensor, norms: Tensor, index: Tensor) -> Tensor:
    """Squared distances of every sample to the samples ``index``, (len(index), N)."""
    return torch.addmm(norms, x[index], x.T, alpha=-2.0).add_(norms[index, None]).clamp_min_(0.0)


def _score(chunk: Tensor, centroids: Tensor) -> Tensor:
    """Squared distances less each sample's own squared norm, (R, K, rows).

    The samples come last, so that reductions over the clusters run along contiguous memory.
    """
    flat = centroids.flatten(0, 1)
    return torch.addmm(flat.square().sum(1, keepdim=True), flat, chunk.T, alpha=-2.0).view(*centroids.shape[:2], -1)


def _assign(x: Tensor, centroids: Tensor) -> _Assignment:
    """Assign every sample in every restart and collect the sums that Lloyd's update needs, chunk by chunk."""
    n_restarts, n_clusters, n_features = centroids.shape
    sums = torch.zeros(n_restarts * n_clusters, n_features, device=x.device, dtype=torch.float64)
    counts = torch.zeros(n_restarts * n_clusters, device=x.device, dtype=torch.float64)
    for chunk in torch.split(x, _chunk_rows(centroids)):
        scores = _score(chunk, centroids)
        nearest = scores.amin(1)
        one_hot = (scores == nearest.unsqueeze(1)).to(x.dtype)
        if one_hot.sum(dtype=torch.float64) != nearest.numel():  # a tie: the lower number takes the sample
            one_hot = torch.zeros_like(scores).scatter_(1, scores.argmin(1, keepdim=True), 1.0)
        one_hot = one_hot.flatten(0, 1)
        sums += one_hot @ chunk
        counts += one_hot.sum(1)
    return _Assignment(sums.view_as(centroids), counts.view(n_restarts, n_clusters))


def _label(x: Tensor, centroids: Tensor) -> Tensor:
    """Nearest of the centroids (K, D) for each sample, (N,)."""
    restart = centroids.unsqueeze(0)
    return torch.cat([_score(chunk, restart)[0].argmin(0) for chunk in torch.split(x, _chunk_rows(restart))])


def _inertia(x: Tensor, centroids: Tensor) -> Tensor:
    """Sum of squared distances to the nearest of the centroids (K, D), (), float64.

    From differences, without the cancellation of an expansion: it chooses between restarts.
    """
    inertia = torch.zeros((), device=x.device, dtype=torch.float64)
    for chunk in torch.split(x, _chunk_rows(centroids.unsqueeze(0))):
        inertia += (chunk - centroids[_label(chunk, centroids)]).square().sum(dtype=torch.float64)
    return inertia


def _farthest(x: Tensor, centroids: Tensor, n: int) -> Tensor:
    """The ``n`` samples that are farthest from their nearest centroid (K, D), (n,), the farthest first."""
    restart = centroids.unsqueeze(0)
    distances = [
        _score(chunk, restart)[0].amin(0) + chunk.square().sum(1) for chunk in torch.split(x, _chunk_rows(restart))
    ]
    return torch.cat(distances).argsort(descending=True, stable=True)[:n]


def _chunk_rows(centroids: Tensor) -> int:
    return max(1, _CHUNK_ELEMENTS // (centroids.shape[0] * centroids.shape[1]))


def _lloyd(x: Tensor, seeds: Tensor, max_iter: int, threshold: float) -> tuple[Tensor, Tensor]:
    """Lloyd's iterations of all restarts; those that have converged drop out.

    Returns:
        Centroids (R, K, D) and iterations (R,).
    """
    centroids = seeds.clone()
    n_iterations = torch.zeros(len(seeds), dtype=torch.int64)
    active = torch.arange(len(seeds), device=x.device)
    for _ in range(max_iter):
        assignment = _assign(x, centroids[active])
        means = (assignment.sums / assignment.counts.clamp_min(1.0).unsqueeze(2)).to(x.dtype)
        empty = assignment.counts == 0
        for r in empty.any(1).nonzero()[:, 0].tolist():  # the empty clusters of a restart move to its farthest samples
            means[r, empty[r]] = x[_farthest(x, centroids[active[r]], int(empty[r].sum()))]
        shift = (means - centroids[active]).square().sum((1, 2))
        centroids[active] = means
        n_iterations[active.cpu()] += 1
        active = active[shift > threshold]
        if len(active) == 0:
            break
    return centroids, n_iterations
