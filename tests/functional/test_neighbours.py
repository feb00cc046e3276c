"""Nearest neighbours by blocked products, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from lightning_dc.functional import nearest_neighbours

X = torch.randn(257, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("size", [7, 64, 300])
@pytest.mark.parametrize("rows", [range(257), range(3, 257, 4)])
def test_neighbours_are_those_of_scikit_learn(size: int, rows: range) -> None:
    numbers = torch.tensor(rows)
    blocks = ((start, X[start : start + size]) for start in range(0, 257, size))
    found, squares = nearest_neighbours(X[numbers], numbers, blocks, k=9)
    distances, expected = NearestNeighbors(n_neighbors=9, algorithm="brute").fit(X).kneighbors()
    assert np.array_equal(found, expected[numbers])
    np.testing.assert_allclose(squares.sqrt(), distances[numbers], atol=1e-7)


def test_samples_far_from_the_origin_keep_their_neighbours() -> None:
    x = X.float() + 10_000
    found, _ = nearest_neighbours(x, torch.arange(257), [(0, x[:100]), (100, x[100:])], k=5)
    expected = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(x.double()).kneighbors()[1]
    assert np.mean(found.numpy() == expected) > 0.99


def test_copies_of_a_sample_are_its_neighbours_and_it_is_not_its_own() -> None:
    x = X[:5].repeat(3, 1)
    found, squares = nearest_neighbours(x, torch.arange(15), [(0, x)], k=2)
    assert all(set(row.tolist()) == {(i + 5) % 15, (i + 10) % 15} for i, row in enumerate(found))
    assert float(squares.max()) < 1e-12


def test_queries_in_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nearest_neighbours(X, torch.arange(257), [(0, X)], k=4)
    monkeypatch.setattr("lightning_dc.functional.neighbours.CHUNK_SIZE", 50)
    parts = nearest_neighbours(X, torch.arange(257), [(0, X)], k=4)
    assert torch.equal(parts[0], whole[0])
    none = nearest_neighbours(X[:0], torch.arange(0), [(0, X)], k=4)
    assert none[0].shape == (0, 4)
