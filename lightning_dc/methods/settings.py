"""Settings that all methods share: k-means, and what is refreshed over the whole training set."""

from __future__ import annotations

from dataclasses import dataclass, field

from lightning_dc.callbacks.centroid_refresh import KMeansName
from lightning_dc.callbacks.neighbour_refresh import NeighbourSpace
from lightning_dc.errors import InputError
from lightning_dc.functional import NeighbourMetric

Interval = tuple[int | None, int | None]
"""Optimizer steps, or else epochs, between two refreshes."""


@dataclass(frozen=True)
class _Periodic:
    """Base class of settings with an interval, in steps or in epochs."""

    every_n_steps: int | None = field(default=None, kw_only=True)
    every_n_epochs: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.every_n_steps is not None and self.every_n_epochs is not None:
            raise InputError(
                f"every_n_steps={self.every_n_steps} and every_n_epochs={self.every_n_epochs} are both set; to refresh "
                "by epochs add every_n_steps=null, to refresh by steps add every_n_epochs=null"
            )

    def interval_or(self, default: Interval) -> Interval:
        """Return the interval between two refreshes, or a default where none is set."""
        own = (self.every_n_steps, self.every_n_epochs)
        return default if own == (None, None) else own


@dataclass(frozen=True)
class KMeansConfig(_Periodic):
    """Settings of the k-means that places the centroids.

    Args:
        every_n_steps: optimizer steps between two further runs of k-means, from the centroids as they are.
        every_n_epochs: the same in epochs; not both. If neither is set, a method whose centroids are trained by
            gradients (DEC, IDEC) leaves them to the optimizer, and another one (DCN, DeepType) runs k-means with each
            refresh.
        n_init: restarts of k-means at the beginning of a phase; the DEC paper has 20.
        algorithm: ``exact`` or ``mini_batch``; ``auto`` is exact as long as the embeddings have at most 2^26 numbers.
            See :class:`~lightning_dc.callbacks.CentroidRefresh`.

    Raises:
        InputError: both intervals are set.
    """

    n_init: int = 20
    algorithm: KMeansName = "auto"


@dataclass(frozen=True)
class RefreshConfig(_Periodic):
    """Settings of the refreshes of assignments over the whole training set, and of the end of clustering.

    Args:
        every_n_steps: optimizer steps between two refreshes of the assignments, and of P where a loss reads it (for DEC
            140 to 160 steps on MNIST, 20 to 30 on 10,000 samples).
        every_n_epochs: the same in epochs; not both. If neither is set, the interval is that of the method: 140 steps
            for DEC, IDEC and DeepClustering, 10 epochs for DCN, 5 epochs for DeepType and SCAN.
        tolerance: clustering ends when fewer than this share of the labels change between two refreshes; 0 never ends
            it.
        patience: number of refreshes in a row that must see so few changes.
        restart_optimizer: whether the optimizer starts anew with each refresh, without the momentum and the moments of
            the steps before, as in the authors' code of DEC.

    Raises:
        InputError: both intervals are set.
    """

    tolerance: float = 0.001
    patience: int = 1
    restart_optimizer: bool = False


@dataclass(frozen=True)
class NeighbourConfig(_Periodic):
    """Settings of the nearest neighbours of all training samples.

    See :class:`~lightning_dc.callbacks.NeighbourRefresh`.

    Args:
        every_n_steps: optimizer steps between two searches; without an interval, there is one when a phase begins.
        every_n_epochs: the same in epochs; not both.
        k: number of neighbours of a sample.
        metric: ``euclidean``, or ``cosine`` for distances of directions.
        space: ``inputs`` or ``embedding``; null takes the inputs for the first search of a run, and then the embedding.

    Raises:
        InputError: both intervals are set.
    """

    k: int = 15
    metric: NeighbourMetric = "euclidean"
    space: NeighbourSpace | None = None
