"""Tests of sums of the inputs over clusters against scipy and pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ttest_ind

from datamodules.loading.learn_scaling import learn_scaling
from datamodules.loading.loader import BatchLoader
from datamodules.loading.scaling import ScalingName
from datamodules.loading.tensor_rows import TensorRows
from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.functional import standardized_differences
from lightning_dc.reports.input_statistics import InputStatistics, input_statistics

LABELS = np.arange(CHUNK_SIZE + 100) % 3


def statistics_of(x: np.ndarray, scaling: ScalingName) -> tuple[InputStatistics, np.ndarray]:
    """Return our statistics and their samples."""
    rows = TensorRows(torch.from_numpy(x))
    learned = learn_scaling(scaling, rows)
    loader = BatchLoader(rows, None, scaling=learned, batch_size=64, shuffle=True, dtype=rows.dtype)
    statistics = input_statistics(loader, torch.from_numpy(LABELS), 3, x.shape[1])
    return statistics, loader.read(0, len(x)).x.double().numpy()


def differences(statistics: InputStatistics) -> np.ndarray:
    return standardized_differences(statistics.sizes, statistics.sums, statistics.squares).numpy()


@pytest.mark.parametrize(
    ("offset", "scaling"),
    [(1e6, "none"), (-1e8, "none"), (1e6, "rms"), (-1e8, "rms"), (1e6, "standard"), (3.0, "unit")],
)
def test_inputs_far_from_0_keep_their_differences(offset: float, scaling: ScalingName) -> None:
    random = np.random.default_rng(0)
    x = random.normal(0, 0.5, (len(LABELS), 2)) + 2 * LABELS[:, None] + [offset, 0.0]
    found, samples = statistics_of(x, scaling)
    groups = pd.DataFrame(samples).groupby(LABELS)
    deviation = np.std(samples, axis=0)
    for k in range(3):
        own, rest = samples[k == LABELS], samples[k != LABELS]
        expected = ttest_ind(own, rest).statistic * np.sqrt(1 / len(own) + 1 / len(rest))
        assert differences(found)[k] == pytest.approx(expected, rel=1e-5)
        assert np.abs(found.means[k].numpy() - groups.mean().loc[k]).max() < 1e-6 * deviation.max()
        assert np.abs(found.means_of_rest[k].numpy() - rest.mean(0)).max() < 1e-6 * deviation.max()
    assert found.deviation.numpy() == pytest.approx(deviation, rel=1e-5)
    assert found.mean.numpy() == pytest.approx(samples.mean(0), rel=1e-9)


def test_float32_samples_far_from_0_have_the_differences_of_their_values() -> None:
    x = np.random.default_rng(1).normal(1e6, 0.5, (len(LABELS), 1)) + 2 * LABELS[:, None]
    found, samples = statistics_of(x.astype("f4"), "none")
    own, rest = samples[LABELS == 2], samples[LABELS != 2]
    expected = ttest_ind(own, rest).statistic * np.sqrt(1 / len(own) + 1 / len(rest))
    assert differences(found)[2] == pytest.approx(expected, rel=1e-6)


def test_a_constant_far_from_0_does_not_differ() -> None:
    x = np.column_stack([np.full(len(LABELS), 1e8 + 0.1), LABELS == 1]).astype("f8")
    found, _ = statistics_of(x, "none")
    assert (differences(found)[:, 0] == 0).all()
    assert differences(found)[1, 1] == np.inf
    assert (differences(found)[[0, 2], 1] < 0).all()
