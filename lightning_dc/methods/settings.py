"""Settings that methods share: k-means, and refreshes over the whole training set."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_dc.callbacks.centroid_refresh import KMeansName

Interval = tuple[int | None, int | None]
"""Optimizer steps and epochs between two refreshes, of which at least one is None."""


@dataclass(frozen=True)
class KMeansConfig:
    """Settings of k-means, which sets the centroids.

    Args:
        n_init: restarts of k-means at the beginning of a phase; the DEC paper uses 20.
        algorithm: ``exact`` or ``mini_batch``; ``auto`` is exact as long as the embeddings have at most 2^26 numbers.
            See :class:`~lightning_dc.callbacks.CentroidRefresh`.
        every_n_steps: optimizer steps between two further runs of k-means, which start from the present centroids. If
            None, ``every_n_epochs`` sets the interval.
        every_n_epochs: epochs between two further runs. With both None, a method whose centroids are trained by
            gradients (DEC, IDEC) leaves them to the optimizer, and another one (DCN, DeepType) runs k-means with each
            refresh.
    """

    n_init: int = 20
    algorithm: KMeansName = "auto"
    every_n_steps: int | None = None
    every_n_epochs: int | None = None

    @property
    def interval(self) -> Interval:
        """Interval between two further runs."""
        return _steps_or_epochs(self.every_n_steps, self.every_n_epochs)

    def interval_or(self, default: Interval) -> Interval:
        """Return the interval between two further runs, or a default if it is not set."""
        return default if self.interval == (None, None) else self.interval


@dataclass(frozen=True)
class RefreshConfig:
    """Settings of refreshes, which assign the whole training set again, and of convergence.

    Args:
        every_n_steps: optimizer steps between two refreshes of the assignments, and of P if a loss reads it (for DEC
            140 to 160 steps on MNIST, 20 to 30 on 10,000 samples). If None, ``every_n_epochs`` sets the interval.
        every_n_epochs: epochs between two refreshes. With both None there is one refresh at the beginning of each
            phase.
        tolerance: clustering ends if less than this share of the labels has changed between two refreshes; 0 never
            ends it.
        patience: number of consecutive refreshes with so few changes that end clustering.
    """

    every_n_steps: int | None = None
    every_n_epochs: int | None = None
    tolerance: float = 0.001
    patience: int = 1

    @property
    def interval(self) -> Interval:
        """Interval between two refreshes."""
        return _steps_or_epochs(self.every_n_steps, self.every_n_epochs)


def _steps_or_epochs(every_n_steps: int | None, every_n_epochs: int | None) -> Interval:
    """Return the steps, or the epochs if no steps are set; the other one is None."""
    return every_n_steps, every_n_epochs if every_n_steps is None else None
