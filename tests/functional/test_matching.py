"""Tests of the matching of clusters against all possible matchings."""

from __future__ import annotations

from itertools import permutations
from random import Random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_dc.functional import contingency_table, match_clusters


@st.composite
def labels(draw: st.DrawFn, most_clusters: int = 4) -> tuple[np.ndarray, np.ndarray, int]:
    """Draw two clusterings with the same number of clusters, some of which may be empty."""
    n_clusters, n_samples = draw(st.integers(1, most_clusters)), draw(st.integers(0, 20))
    cluster = st.lists(st.integers(0, n_clusters - 1), min_size=n_samples, max_size=n_samples)
    return np.array(draw(cluster), dtype=np.int64), np.array(draw(cluster), dtype=np.int64), n_clusters


def match(previous: np.ndarray, current: np.ndarray, n_clusters: int) -> np.ndarray:
    table = contingency_table(torch.from_numpy(previous), torch.from_numpy(current), n_clusters, n_clusters)
    found = match_clusters(table)
    assert found.dtype == torch.int64
    return found.numpy()


@given(labels(most_clusters=8), st.randoms(use_true_random=False))
def test_permuted_numbers_are_restored(case: tuple[np.ndarray, np.ndarray, int], random: Random) -> None:
    previous, _, n_clusters = case
    permutation = np.array(random.sample(range(n_clusters), n_clusters))
    current = permutation[previous]
    found = match(previous, current, n_clusters)
    used = np.unique(previous)
    np.testing.assert_array_equal(found[used], permutation[used])
    np.testing.assert_array_equal(found.argsort()[current], previous)


@given(labels())
def test_no_other_matching_keeps_more_samples(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    previous, current, n_clusters = case
    found = match(previous, current, n_clusters)
    assert sorted(found.tolist()) == list(range(n_clusters))  # one to one, including empty clusters
    kept = (found[previous] == current).sum()
    assert kept == max((np.array(p)[previous] == current).sum() for p in permutations(range(n_clusters)))


def test_rows_of_the_match_are_in_the_previous_order() -> None:
    """Centroids that were found in another order get the order of the previous labels."""
    previous = np.array([2, 2, 0, 0, 1], dtype=np.int32)
    centroids = torch.tensor([[10.0], [12.0], [11.0]])  # of current clusters, whose numbers were 0, 2 and 1 before
    current = np.array([1, 1, 0, 0, 2])
    assert centroids[match(previous, current, 3)][:, 0].tolist() == [10.0, 11.0, 12.0]


def test_empty_clusters_get_the_numbers_that_are_left() -> None:
    found = match(np.array([3, 3, 3]), np.array([1, 1, 1]), 4)
    assert found[3] == 1
    assert sorted(found.tolist()) == [0, 1, 2, 3]
