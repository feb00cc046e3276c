"""Whether data have clusters at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_dc.functional import InputGroups
from lightning_dc.kmeans import kmeans

_N_SHUFFLES = 20
_N_INIT = 3
_MOST_PRODUCTS = 5000  # of inputs and clusters, for which 21 times k-means takes seconds
_LEAST_INPUTS = 50
_DEVIATIONS = 3.0


class ClusterTendency(NamedTuple):
    """Share of the variance that k-means explains, on data and on shuffled data.

    Attributes:
        share: share of the variance of the data that k-means explains.
        mean: mean of this share on shuffled data.
        deviation: standard deviation of this share on shuffled data.
    """

    share: float
    mean: float
    deviation: float

    @property
    def is_clustered(self) -> bool:
        """True if k-means explains more than on shuffled data, by more than three standard deviations."""
        return self.share > self.mean + _DEVIATIONS * self.deviation


def cluster_tendency(
    x: Tensor, n_clusters: int, groups: Sequence[Sequence[int]] | None = None, seed: int = 0
) -> ClusterTendency | None:
    """Compare the variance that k-means explains with that on 20 copies of the data whose columns are shuffled.

    Shuffling each column by itself keeps the distribution of each input and destroys what inputs have to do with one
    another. Of data without clusters, or of clusters that a single input makes up, k-means explains as much as of the
    copies. Three standard deviations call shuffled data clustered in less than one case of a hundred. Of many inputs,
    those with the largest variance are taken: at most 5,000 / K, or 50 if that is more.

    Inputs that depend on one another without clusters, such as those of an elongated normal distribution, are told
    from the copies, too: the answer "clustered" says only that cutting the data into K parts describes them.

    Args:
        x: inputs, (n, F), finite.
        n_clusters: number of clusters K.
        groups: inputs that belong together, such as the one-hot inputs of a category, and are shuffled together; None
            shuffles each input by itself.
        seed: seed of all random numbers.

    Returns:
        The shares; None where there is nothing to compare: one cluster, fewer than two groups of inputs that vary, or
        no more samples than clusters.

    Raises:
        InputError: an input is in no group or in two groups.

    Example:
        >>> pair = torch.tensor([-1.0, 1.0]).repeat(20).unsqueeze(1).expand(40, 2)
        >>> cluster_tendency(pair, 2).is_clustered
        True
    """
    x, of_column = _widest(x, InputGroups.of(groups, x.shape[1]).of_input, n_clusters)
    if n_clusters < 2 or len(x) <= n_clusters or len(set(of_column.tolist())) < 2:
        return None
    generator = torch.Generator().manual_seed(seed % (1 << 63))
    share = _explained(x, n_clusters, seed)
    shares = torch.tensor(
        [_explained(_shuffled(x, of_column, generator), n_clusters, seed) for _ in range(_N_SHUFFLES)],
        dtype=torch.float64,
    )
    return ClusterTendency(share, float(shares.mean()), float(shares.std()))


def _widest(x: Tensor, of_column: Tensor, n_clusters: int) -> tuple[Tensor, Tensor]:
    """Return the columns with the largest variance, without constant ones, and the group of each."""
    most = max(_MOST_PRODUCTS // n_clusters, _LEAST_INPUTS)
    variance = x.double().var(0, correction=0)
    chosen = variance.argsort(descending=True, stable=True)[:most]
    chosen = chosen[variance[chosen] > 0]
    return x[:, chosen], of_column[chosen]


def _shuffled(x: Tensor, of_column: Tensor, generator: torch.Generator) -> Tensor:
    """Return the data with the rows of each group of columns in an order of their own."""
    groups, column = np.unique(of_column.numpy(), return_inverse=True)
    orders = torch.rand(len(x), len(groups), generator=generator).argsort(0)
    return x.gather(0, orders[:, torch.as_tensor(column)])


def _explained(x: Tensor, n_clusters: int, seed: int) -> float:
    """Return the share of the variance that k-means explains."""
    generator = torch.Generator().manual_seed(seed % (1 << 63))
    total = float((x.double() - x.double().mean(0)).square().sum())
    return 1.0 - kmeans(x, n_clusters, n_init=_N_INIT, generator=generator).inertia / total
