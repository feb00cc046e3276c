"""EM algorithm of Gaussian mixtures whose covariances are shrunk."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lightning_dc.distributed import owned_rows, sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import gaussian_mixture_log_joint
from lightning_dc.mixture.starts import partitions

SHRINKAGE = 8.0
"""Default weight of the common covariance; see :func:`gaussian_mixture`."""

_RIDGE = 0.1  # share of a sphere in all covariances, if they are shrunk much
_FIRST_RIDGE = 0.5  # the same while the starts are compared
_LEAST_VARIANCE = 1e-6  # of a component, in mean variances of the data
_MOST_ROWS = 20_000  # of all processes, on which the starts are compared
_TOLERANCE = 1e-5  # of the mean log-likelihood, in nats
_EMPTY = 1e-10  # samples


class MixtureResult(NamedTuple):
    """Gaussian mixture.

    Attributes:
        log_weights: logarithms of the weights of the components, (K,).
        means: means, (K, D).
        factors: triangular factors of the precisions, (K, D, D); see
            :func:`~lightning_dc.functional.gaussian_mixture_log_joint`.
        log_likelihood: mean log density of the samples, in nats.
        n_iter: number of iterations.
    """

    log_weights: Tensor
    means: Tensor
    factors: Tensor
    log_likelihood: float
    n_iter: int


def gaussian_mixture(
    z: Tensor,
    n_clusters: int,
    *,
    shrinkage: float = SHRINKAGE,
    n_total: int | None = None,
    max_iter: int = 200,
    generator: torch.Generator | None = None,
) -> MixtureResult:
    """Fit a Gaussian mixture with shrunk covariances from several partitions, and return the one of largest likelihood.

    Steps of the EM algorithm alternate with shrinkage. The covariance of component k with n_k of N samples is
    (1 - g) (a S_k + (1 - a) W) + g tr(W) / D I, where S_k is its own covariance, W the common covariance within all
    components, a = n_k / (n_k + ``shrinkage`` N / K), and g = 0.1 ``shrinkage`` / (1 + ``shrinkage``). This is
    regularised discriminant analysis (Friedman 1989, https://doi.org/10.1080/01621459.1989.10478752, eq. 16 to 18) in
    each iteration. Large values give all components one shape, and 0 gives each its own, as in scikit-learn's
    ``GaussianMixture``, which needs many samples. Because of the shrinkage, the likelihood may fall from one iteration
    to the next. A fit ends where it hardly changes, and of the ends of all starts the one of largest likelihood is
    taken.

    The starts are k-means and mergers of many small clusters. They are compared on at most 20,000 samples, and the best
    one goes on with all. While they are compared, g is five times as large: a flag or a category has no variance in the
    clusters of one of its values, so that splitting by it alone would be the most likely mixture of all, whatever the
    other inputs say. To anneal so keeps EM from such an end (Ueda and Nakano 1998,
    https://doi.org/10.1016/S0893-6080(97)00133-0, anneal the responsibilities).

    Args:
        z: samples, (N, D); computations are in float64.
        n_clusters: number of components K, between 1 and N.
        shrinkage: weight of the common covariance, in mean sizes of a component; not negative, may be infinite.
        n_total: number of samples on all processes, if each process passes only its own rows, as listed by
            :func:`~lightning_dc.distributed.owned_rows`. Every process then gets the same mixture.
        max_iter: largest number of iterations from a start.
        generator: random numbers of the starts, in the same state on all processes; None creates one with seed 0.

    Raises:
        InputError: an argument is out of range.
    """
    n_samples = len(z) if n_total is None else n_total
    if not 1 <= n_clusters <= n_samples:
        raise InputError(f"n_clusters={n_clusters} must lie between 1 and the number of samples, {n_samples}")
    if not shrinkage >= 0:
        raise InputError(f"shrinkage={shrinkage} must not be negative")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    z = z.detach().double()
    rows = torch.randperm(n_samples, generator=generator)[:_MOST_ROWS].sort().values
    sample = z[rows.to(z.device)] if n_total is None else _gather(z, rows, n_samples)
    fits = [
        _run(sample, functional.one_hot(labels, n_clusters).double(), shrinkage, max_iter, _FIRST_RIDGE, shared=False)
        for labels in partitions(sample, n_clusters, generator)
    ]
    best = max(fits, key=lambda fit: fit.log_likelihood)
    if len(rows) == n_samples:
        z, n_total = sample, None
    return _run(z, _responsibilities(z, best)[0], shrinkage, max_iter, _RIDGE, best, shared=n_total is not None)


def _gather(z: Tensor, rows: Tensor, n_samples: int) -> Tensor:
    """Return some rows of all processes on each of them, (n, D)."""
    own = owned_rows(n_samples)
    position = torch.searchsorted(own, rows).clamp_max(max(len(own) - 1, 0))
    is_own = own[position] == rows if len(own) > 0 else torch.zeros(len(rows), dtype=torch.bool)
    sample = z.new_zeros(len(rows), z.shape[1])
    sample[is_own.to(z.device)] = z[position[is_own].to(z.device)]
    return sum_(sample)


def _run(
    z: Tensor,
    responsibilities: Tensor,
    shrinkage: float,
    max_iter: int,
    ridge: float,
    mixture: MixtureResult | None = None,
    *,
    shared: bool,
) -> MixtureResult:
    """Iterate from responsibilities, (n, K); the rows are those of this process if they are shared.

    A component without samples stays where a given mixture has it.
    """
    before = -math.inf
    for iteration in range(1, max(1, max_iter) + 1):
        mixture = _maximise(z, responsibilities, shrinkage, ridge, mixture, shared=shared)
        responsibilities, log_density = _responsibilities(z, mixture)
        total = torch.stack([log_density.sum(), log_density.new_tensor(float(len(z)))])
        log_sum, number = (sum_(total) if shared else total).tolist()
        mixture = mixture._replace(log_likelihood=log_sum / number, n_iter=iteration)
        if abs(mixture.log_likelihood - before) < _TOLERANCE:
            break
        before = mixture.log_likelihood
    assert mixture is not None
    return mixture


def _responsibilities(z: Tensor, mixture: MixtureResult) -> tuple[Tensor, Tensor]:
    """Return the responsibility of each component for each sample, (n, K), and the log density, (n,)."""
    joint = gaussian_mixture_log_joint(z, mixture.log_weights, mixture.means, mixture.factors)
    log_density = joint.logsumexp(1)
    return (joint - log_density[:, None]).exp(), log_density


def _maximise(
    z: Tensor,
    responsibilities: Tensor,
    shrinkage: float,
    ridge: float,
    before: MixtureResult | None,
    *,
    shared: bool,
) -> MixtureResult:
    """Return the mixture of given responsibilities; its likelihood is not known yet."""
    n_clusters, dim = responsibilities.shape[1], z.shape[1]
    sums = torch.stack([torch.cat([r @ z, r.sum()[None]]) for r in responsibilities.T])
    sums = sum_(sums) if shared else sums
    sizes = sums[:, -1]
    means = sums[:, :-1] / sizes.clamp_min(_EMPTY)[:, None]
    if before is not None:  # a component that has lost its samples stays where it was
        means = torch.where(sizes[:, None] > _EMPTY, means, before.means)
    scatter = torch.stack([_scatter(z - mean, r) for mean, r in zip(means, responsibilities.T, strict=True)])
    scatter = sum_(scatter) if shared else scatter
    n_samples = sizes.sum()
    within = scatter.sum(0) / n_samples
    spread = (means - (sizes @ means) / n_samples).square().sum(1) @ sizes / n_samples
    floor = _LEAST_VARIANCE * float(within.trace() + spread) / dim or torch.finfo(z.dtype).tiny ** 0.5
    identity = torch.eye(dim, dtype=z.dtype, device=z.device)
    ridge *= shrinkage / (1 + shrinkage) if math.isfinite(shrinkage) else 1.0
    own = (sizes / (sizes + shrinkage * n_samples / n_clusters).clamp_min(_EMPTY))[:, None, None]  # 0 if it is infinite
    shrunk = own * scatter / sizes.clamp_min(_EMPTY)[:, None, None] + (1 - own) * within
    # The same sphere for all: where the data have no variance, as one-hot inputs have none in one direction, a
    # component with less of it would win by its density alone.
    covariances = (1 - ridge) * shrunk + (ridge * within.trace() / dim + floor) * identity
    lower = torch.linalg.cholesky(covariances)
    factors = torch.linalg.solve_triangular(lower, identity.expand_as(lower), upper=False).mT
    log_weights = (sizes / n_samples).clamp_min(_EMPTY / float(n_samples)).log()
    return MixtureResult(log_weights, means, factors, math.nan, 0)


def _scatter(centred: Tensor, responsibility: Tensor) -> Tensor:
    return (centred * responsibility[:, None]).T @ centred
