"""Small data sets for tests of k-means, and seeded random numbers."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import make_blobs


def seeded(seed: int = 0) -> torch.Generator:
    """Create a generator of random numbers with a seed."""
    return torch.Generator().manual_seed(seed)


def blobs(n_samples: int = 300, n_features: int = 4, centers: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw points around random centers, (N, D), float32, with the number of their center, (N,)."""
    x, y = make_blobs(n_samples, n_features, centers=centers, random_state=seed)
    return x.astype(np.float32), y


def uniform() -> np.ndarray:
    """Draw 400 points from the unit cube, (400, 3), float32, in which no clustering is obvious."""
    return np.random.default_rng(0).random((400, 3)).astype(np.float32)
