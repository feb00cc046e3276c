"""A DataModule of samples that a test gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from datamodules import ClusteringDataModule, Samples
from datamodules.loading.loader import BatchLoader

N_SAMPLES = 20


def features(n_samples: int = N_SAMPLES, offset: float = 0.0) -> np.ndarray:
    """The first feature is the row's number."""
    noise = np.random.default_rng(0).normal(size=(n_samples, 2))
    return np.column_stack([np.arange(n_samples) + offset, noise])


class Given(ClusteringDataModule):
    """DataModule of samples that a test gives."""

    def __init__(self, samples: Any, test_samples: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.samples = samples
        self.test_samples = test_samples
        self.n_loads = 0

    def load(self) -> Samples:
        self.n_loads += 1
        return self.samples

    def load_test(self) -> Samples | None:
        return self.test_samples


def given(x: Any = None, y: Any = None, test: Any = None, **arguments: Any) -> Given:
    """Return a DataModule that is set up."""
    data = Given(Samples(features() if x is None else x, y), test, **arguments)
    data.setup("fit")
    return data


def everything(loader: BatchLoader) -> np.ndarray:
    return loader.read(0, 10_000).x.numpy()
