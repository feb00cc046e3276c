"""Tests of the comparison of probabilities with what has come true."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_dc import InputError
from lightning_dc.reports import ReliabilityBin, agreement_of_runs, calibration_error, reliability_bins
from lightning_dc.reports.predictions import write_predictions
from lightning_dc.reports.reliability import keeps_cluster


def test_bins_have_means_and_shares() -> None:
    predicted = torch.tensor([0.0, 0.05, 0.95, 1.0, 0.5], dtype=torch.float64)
    bins = reliability_bins(predicted, torch.tensor([False, True, True, True, False]))
    assert [each.n_samples for each in bins] == [2, 1, 2]
    assert np.array(bins)[:, :2] == pytest.approx(np.array([[0.025, 0.5], [0.5, 0.0], [0.975, 1.0]]))
    assert calibration_error(bins) == pytest.approx((2 * 0.475 + 0.5 + 2 * 0.025) / 5)


def test_a_probability_that_comes_true_has_no_error() -> None:
    random = np.random.default_rng(0)
    predicted = random.uniform(size=200_000)
    kept = random.uniform(size=200_000) < predicted
    assert calibration_error(reliability_bins(torch.from_numpy(predicted), torch.from_numpy(kept))) < 0.01
    surer = torch.from_numpy(predicted**0.5)
    assert calibration_error(reliability_bins(surer, torch.from_numpy(kept))) == pytest.approx(1 / 6, abs=0.01)


def test_clusters_are_matched_as_the_best_of_all_permutations_does() -> None:
    random = np.random.default_rng(1)
    before = random.integers(4, size=300)
    after = np.where(random.uniform(size=300) < 0.6, (before + 1) % 4, random.integers(4, size=300))
    best = max((np.array(order)[before] == after).sum() for order in itertools.permutations(range(4)))
    kept = keeps_cluster(torch.from_numpy(before).int(), torch.from_numpy(after))
    assert int(kept.sum()) == best
    assert kept.shape == (300,)


def test_a_cluster_that_the_other_run_has_not_is_not_kept() -> None:
    kept = keeps_cluster(torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([1, 1, 1, 0, 0, 0]))
    assert kept.tolist() == [True, True, True, True, True, False]


def write(path: Path, index: list[int], clusters: list[int], stability: list[float] | None = None) -> Path:
    q = torch.nn.functional.one_hot(torch.tensor(clusters), 2).float()
    others = {} if stability is None else {"head_stability": torch.tensor(stability)}
    write_predictions(path, torch.tensor(index), None, q, is_soft=False, others=others)
    return path


@pytest.mark.parametrize("ending", ["parquet", "csv", "npz"])
def test_two_runs_are_compared_on_the_samples_of_both(tmp_path: Path, ending: str) -> None:
    """Sample 7 is in the first file alone, 9 in the second; the second run has the other numbers."""
    first = write(tmp_path / f"a.{ending}", [0, 1, 2, 3, 7], [0, 0, 1, 1, 0], [0.95, 0.55, 0.95, 0.95, 0.1])
    second = write(tmp_path / f"b.{ending}", [9, 3, 2, 1, 0], [0, 0, 0, 0, 1])
    bins = agreement_of_runs(first, second)
    assert [(each.kept, each.n_samples) for each in bins] == [(0.0, 1), (1.0, 3)]
    assert [each.predicted for each in bins] == pytest.approx([0.55, 0.95])


def test_files_without_the_column_or_common_samples_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", [0, 1], [0, 1], [0.9, 0.9])
    with pytest.raises(InputError, match="no column 'confidence'"):
        agreement_of_runs(first, first, "confidence")
    with pytest.raises(InputError, match="no sample in common"):
        agreement_of_runs(first, write(tmp_path / "b.csv", [2, 3], [0, 1]))


def test_a_bin_is_a_row() -> None:
    assert ReliabilityBin(0.9, 0.8, 3)._asdict() == {"predicted": 0.9, "kept": 0.8, "n_samples": 3}
