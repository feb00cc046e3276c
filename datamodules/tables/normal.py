"""Values of missing inputs that are expected from the other inputs of the row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_INPUTS = 100
"""Largest number of inputs of a normal distribution, whose time grows with their cube."""

_MOST_ROWS = 5000  # from which it is learned
_MOST_ITERATIONS = 50
_TOLERANCE = 1e-3  # largest change of a covariance, in units of standard deviations


class Normal:
    """A normal distribution of inputs, by which a missing input has its expectation given those that are known.

    One value for all gaps of a column would make a spike, which a method takes for a cluster; an expectation lies among
    the rows that are like its own. A one-hot input gets a linear estimate of the share of rows like this one that have
    its category.

    Args:
        mean: mean of each input, (F,).
        deviation: standard deviation of each input, (F,), 1 where it is constant.
        covariance: covariance of the inputs in units of their deviations, (F, F), positive definite.
    """

    def __init__(self, mean: Any, deviation: Any, covariance: Any) -> None:
        self.mean, self.deviation, self.covariance = (
            np.asarray(part, np.float64) for part in (mean, deviation, covariance)
        )

    @classmethod
    def learn(cls, x: NDArray[Any]) -> Normal:
        """Learn the distribution by the EM algorithm from rows in which values may be missing at random.

        Dempster, Laird and Rubin 1977 (https://doi.org/10.1111/j.2517-6161.1977.tb01600.x, section 4.1.3). The
        covariance has a ridge prior that weighs one row for each input (Schafer 1997, section 5.2.3), so that with few
        rows the expectation is nearly the mean. At most 5,000 rows are taken, at random, with a fixed seed.

        Args:
            x: inputs, (N, F), NaN where missing; each input has a value in some row.
        """
        mean, deviation = np.nanmean(x, 0, dtype=np.float64), np.nanstd(x, 0, dtype=np.float64)
        deviation = np.where(deviation > 0, deviation, 1.0)
        n_features = x.shape[1]
        if len(x) > _MOST_ROWS:
            x = x[np.random.default_rng(0).choice(len(x), _MOST_ROWS, replace=False)]
        scaled = (x - mean) / deviation
        missing = np.isnan(scaled)
        scaled[missing] = 0.0
        center, covariance = np.zeros(n_features), np.eye(n_features)
        for _ in range(_MOST_ITERATIONS):
            before, uncertain = covariance, np.zeros((n_features, n_features))
            for rows, gaps, expected, conditional in _expectations(scaled, missing, center, covariance):
                scaled[np.ix_(rows, gaps)] = expected
                uncertain[np.ix_(gaps, gaps)] += len(rows) * conditional
            center = scaled.mean(0)
            scatter = (scaled - center).T @ (scaled - center) + uncertain
            covariance = (scatter + n_features * np.eye(n_features)) / (len(x) + n_features)
            if np.abs(covariance - before).max() < _TOLERANCE:
                break
        return cls(mean + center * deviation, deviation, covariance)

    def fill(self, x: NDArray[Any]) -> None:
        """Replace the missing values of rows, (N, F), NaN where missing, in place."""
        missing = np.isnan(x)
        incomplete = np.flatnonzero(missing.any(1))
        if len(incomplete) == 0:
            return
        missing = missing[incomplete]
        scaled = np.where(missing, 0.0, (x[incomplete] - self.mean) / self.deviation)
        for rows, gaps, expected, _ in _expectations(scaled, missing, np.zeros(x.shape[1]), self.covariance):
            x[np.ix_(incomplete[rows], gaps)] = self.mean[gaps] + expected * self.deviation[gaps]

    def state_dict(self) -> dict[str, Any]:
        """Return the arguments as Python primitives."""
        return {name: part.tolist() for name, part in vars(self).items()}


def _expectations(
    x: Array, missing: NDArray[np.bool_], mean: Array, covariance: Array
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]]:
    """Yield, for each pattern of gaps, its rows and inputs, their expectations, (n, M), and covariance, (M, M).

    The precision P gives both without the covariance of the known inputs: the covariance of the missing inputs is the
    inverse of P_mm, and their expectation mean_m - inverse(P_mm) P_mo (x_o - mean_o).
    """
    precision = np.linalg.inv(covariance)
    patterns, pattern_of = np.unique(missing, axis=0, return_inverse=True)
    order = np.argsort(pattern_of.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(pattern_of.reshape(-1), minlength=len(patterns)))
    for pattern, rows in zip(patterns, np.split(order, ends[:-1]), strict=True):
        if not pattern.any():
            continue
        gaps, known = np.flatnonzero(pattern), np.flatnonzero(~pattern)
        conditional = np.linalg.inv(precision[np.ix_(gaps, gaps)])
        deviations = x[np.ix_(rows, known)] - mean[known]
        yield rows, gaps, mean[gaps] - deviations @ (conditional @ precision[np.ix_(gaps, known)]).T, conditional
