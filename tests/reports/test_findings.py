"""Tests of the sentences about the clusters of a run."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_dc.reports.cluster_tendency import ClusterTendency
from lightning_dc.reports.findings import (
    tell_better_baseline,
    tell_single_input,
    tell_tendency,
    tell_uneven_sizes,
)
from lightning_dc.reports.single_input import SingleInput


def labels(*sizes: int) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


def test_a_single_input_is_named() -> None:
    told = tell_single_input(SingleInput([1], 0.951), ["age", "proline"])
    assert told is not None
    assert "a single input, proline:" in told
    assert "0.95" in told
    assert "--data.scaling standard" in told
    of_a_category = tell_single_input(SingleInput([0, 1, 2, 3], 1.0), ["s=a", "s=b", "s=c", "s=d"])
    assert of_a_category is not None
    assert "s=a, s=b, s=c, ...:" in of_a_category
    assert tell_single_input(None, ["age"]) is None
    without_flag = tell_single_input(SingleInput([1], 0.951), ["age", "proline"], can_standardise=False)
    assert without_flag is not None
    assert without_flag.endswith(
        " If it should not decide the clusters, give it less weight or leave it out of the data."
    )


def test_no_clusters_are_told_with_both_shares() -> None:
    told = tell_tendency(ClusterTendency(0.123, 0.12, 0.002), 7)
    assert told is not None
    assert told.startswith("There are no clusters: k-means with 7 clusters explains 12.3%")
    assert "12.0% (standard deviation 0.2%)" in told
    assert tell_tendency(ClusterTendency(0.3, 0.12, 0.002), 7) is None
    assert tell_tendency(None, 7) is None


@pytest.mark.parametrize("sizes", [(100, 10, 50), (1, 1, 1), (100, 100, 10)])
def test_sizes_up_to_ten_to_one_are_even(sizes: tuple[int, ...]) -> None:
    assert tell_uneven_sizes(labels(*sizes), labels(40, 40, 40), 3, has_target=True) is None


def test_uneven_sizes_are_told_with_the_remedy() -> None:
    told = tell_uneven_sizes(labels(3001, 10, 50), labels(40, 40, 40), 3, has_target=True)
    assert told is not None
    assert told.startswith("The clusters are uneven (from 10 to 3,001 samples), but the target distribution")
    assert "--summary.recluster" in told
    of_baseline = tell_uneven_sizes(labels(40, 40, 40), labels(101, 10, 10), 3, has_target=False)
    assert of_baseline is not None
    assert of_baseline.startswith("The clusters of the baseline are uneven (from 10 to 101 samples), but k-means")
    empty = tell_uneven_sizes(labels(40, 40), labels(40, 40), 3, has_target=False)
    assert empty is not None
    assert "from 0 to 40" in empty


def test_uneven_sizes_are_not_told_of_a_method_that_does_not_favour_similar_sizes() -> None:
    for own, baseline in ((labels(3001, 10, 50), labels(40, 40, 40)), (labels(40, 40, 40), labels(101, 10, 10))):
        assert tell_uneven_sizes(own, baseline, 3, has_target=False, assumes_balance=False) is None


@pytest.mark.parametrize("own", [0.26, 0.3, 0.4, math.nan])
def test_a_silhouette_that_is_about_as_high_is_not_told(own: float) -> None:
    assert tell_better_baseline(own, 0.3, "the inputs") is None


def test_a_clearly_lower_silhouette_is_told_with_the_way_to_the_better_clusters() -> None:
    told = tell_better_baseline(0.24, 0.3, "50 principal components of the inputs")
    assert told is not None
    assert "in 50 principal components of the inputs is 0.30, that of this run 0.24" in told
    assert "cluster_baseline" in told
    assert "--model AEKMeans --model.autoencoder Identity --model.pretraining.max_epochs 0" in told
    assert tell_better_baseline(0.24, math.nan, "the inputs") is None
