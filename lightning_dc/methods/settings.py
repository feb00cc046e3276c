"""Settings that all methods share: k-means, and what is refreshed over the whole training set."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_dc.callbacks.centroid_refresh import KMeansName

Interval = tuple[int | None, int | None]
"""Optimizer steps, or else epochs, between two refreshes."""


@dataclass(frozen=True)
class KMeansConfig:
    """How k-means places the centroids.

    Args:
        n_init: restarts of k-means at the beginning of a phase; the DEC paper has 20.
        algorithm: ``exact`` or ``mini_batch``; ``auto`` is exact as long as the embeddings have at most 2^26 numbers.
            See :class:`~lightning_dc.callbacks.CentroidRefresh`.
        every_n_steps: optimizer steps between two further runs of k-means, from the centroids as they are. If None,
            ``every_n_epochs`` counts.
        every_n_epochs: the same in epochs. With both None, a method whose centroids are trained by gradients (DEC,
            IDEC) leaves them to the optimizer, and another one (DCN, DeepType) runs k-means with each refresh.
    """

    n_init: int = 20
    algorithm: KMeansName = "auto"
    every_n_steps: int | None = None
    every_n_epochs: int | None = None

    @property
    def interval(self) -> Interval:
        """Interval between two further runs."""
        return _interval(self.every_n_steps, self.every_n_epochs)

    def interval_or(self, default: Interval) -> Interval:
        """Return the interval between two further runs, or a default where it is not set."""
        return default if self.interval == (None, None) else self.interval


@dataclass(frozen=True)
class RefreshConfig:
    """When the whole training set is assigned again, and when clustering has converged.

    Args:
        every_n_steps: optimizer steps between two refreshes of the assignments, and of P where a loss reads it (for DEC
            140 to 160 steps on MNIST, 20 to 30 on 10,000 samples). If None, ``every_n_epochs`` counts.
        every_n_epochs: the same in epochs. With both None there is one refresh at the beginning of each phase.
        tolerance: clustering ends when fewer than this share of the labels change between two refreshes; 0 never ends
            it.
        patience: number of refreshes in a row that must see so few changes.
    """

    every_n_steps: int | None = None
    every_n_epochs: int | None = None
    tolerance: float = 0.001
    patience: int = 1

    @property
    def interval(self) -> Interval:
        """Interval between two refreshes."""
        return _interval(self.every_n_steps, self.every_n_epochs)


def _interval(every_n_steps: int | None, every_n_epochs: int | None) -> Interval:
    return every_n_steps, every_n_epochs if every_n_steps is None else None
