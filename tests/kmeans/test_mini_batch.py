"""Tests of counted updates against one update for each sample, and of the class against exact k-means."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from lightning_dc.errors import InputError
from lightning_dc.kmeans import KMeans, MiniBatchKMeans, counted_update_
from tests.helpers.points import blobs


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), weighted=st.booleans(), integer_weights=st.booleans())
def test_a_batch_is_the_sequence_of_its_samples(seed: int, weighted: bool, integer_weights: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(30, 3, generator=generator).double()
    labels = torch.randint(4, (30,), generator=generator)
    labels[labels == 3] = 0  # one cluster gets no sample
    centroids, counts = torch.randn(4, 3, generator=generator).double(), torch.tensor([5.0, 0.0, 1.0, 0.0]).double()
    weights = torch.rand(30, generator=generator).double() + 0.1
    weights = weights.mul(4).ceil() if integer_weights else weights
    expected, expected_counts = centroids.clone(), counts.clone()
    for row, k, weight in zip(x, labels.tolist(), weights.tolist(), strict=True):
        weight = weight if weighted else 1.0
        expected_counts[k] += weight
        expected[k] += weight / expected_counts[k] * (row - expected[k])
    result = counted_update_(centroids, counts, x, labels, weights if weighted else None)
    assert result is None
    torch.testing.assert_close(centroids, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(counts, expected_counts)


def test_the_update_is_in_place_and_not_tracked() -> None:
    centroids = torch.nn.Parameter(torch.zeros(2, 2))
    counts, address = torch.zeros(2), centroids.data_ptr()
    x = torch.tensor([[2.0, 4.0], [4.0, 8.0]], requires_grad=True)
    counted_update_(centroids, counts, x, torch.tensor([1, 1]))
    assert centroids.data_ptr() == address
    assert centroids.tolist() == [[0.0, 0.0], [3.0, 6.0]]
    assert counts.tolist() == [0.0, 2.0]
    assert centroids.grad_fn is None


def test_an_epoch_comes_near_exact_kmeans() -> None:
    x, y = blobs(5000, 6, 8)
    exact = KMeans(8, n_init=5).fit(x)
    model = MiniBatchKMeans(8, batch_size=256, max_iter=20).fit(x)
    assert model.inertia_ <= 1.02 * exact.inertia_
    assert model.inertia_ == pytest.approx(-model.score(x))
    assert adjusted_rand_score(y, model.labels_) > 0.9
    assert model.counts_.sum() >= len(x)
    assert model.n_steps_ == model.n_iter_ * 20


def test_partial_fits_follow_a_stream() -> None:
    x, _ = blobs(4000, 6, 8)
    exact = KMeans(8, n_init=5).fit(x)
    model = MiniBatchKMeans(8, seed=1)
    for start in range(0, len(x), 200):
        model.partial_fit(torch.from_numpy(x[start : start + 200]))
    assert model.n_steps_ == 20
    assert isinstance(model.cluster_centers_, torch.Tensor)
    assert -model.score(x) <= 1.05 * exact.inertia_


def test_given_centroids_need_no_batch_of_k_samples() -> None:
    """A batch may have fewer samples than clusters, as in scikit-learn's class after its first batch."""
    x, _ = blobs(900, 3, 6)
    init = np.random.default_rng(1).choice(x, 6, replace=False)
    model, counts = MiniBatchKMeans(6, init=init, reassignment_ratio=0.0), np.zeros(6)
    expected = init.astype("f8")
    for start in range(0, len(x), 4):
        batch = x[start : start + 4]
        labels = ((batch[:, None].astype("f8") - expected) ** 2).sum(2).argmin(1)
        for row, k in zip(batch, labels, strict=True):
            counts[k] += 1
            expected[k] += (row - expected[k]) / counts[k]
        model.partial_fit(batch)
    np.testing.assert_allclose(model.cluster_centers_, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(model.counts_, counts)
    assert not np.shares_memory(init, model.cluster_centers_)
    with pytest.raises(InputError, match="n_clusters=6 must lie between 1 and the 4 samples"):
        MiniBatchKMeans(6, init=init).fit(x[:4])
    with pytest.raises(InputError, match="n_clusters=6 must lie between 1 and the 4 samples"):
        MiniBatchKMeans(6).partial_fit(x[:4])
    with pytest.raises(InputError, match=r"init of k-means has shape \(6, 3\); give \(5, 3\)"):
        MiniBatchKMeans(5, init=init).partial_fit(x)
    with pytest.raises(InputError, match="init of k-means holds NaN"):
        MiniBatchKMeans(6, init=np.full((6, 3), np.nan)).partial_fit(x)


def test_the_seed_alone_decides() -> None:
    x, _ = blobs(2000)
    torch.manual_seed(1)
    first = MiniBatchKMeans(5, seed=3, max_iter=2, tol=0.0).fit(x)
    np.random.seed(1)
    state = torch.get_rng_state()
    second = MiniBatchKMeans(5, seed=3, max_iter=2, tol=0.0).fit(x)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first.cluster_centers_, second.cluster_centers_)
    other = MiniBatchKMeans(5, seed=4, max_iter=2, tol=0.0).fit(x)
    assert not np.array_equal(first.cluster_centers_, other.cluster_centers_)


def test_centroids_without_samples_move() -> None:
    x, _ = blobs(1000, 2, 3)
    init = np.concatenate([x[:1], [[1e3, 1e3], [-1e3, 1e3]]])
    model = MiniBatchKMeans(3, init=init, batch_size=100, max_iter=10).fit(x)
    assert np.abs(model.cluster_centers_).max() < 100
    assert len(set(model.labels_.tolist())) == 3
    with pytest.warns(ConvergenceWarning, match="only 1 of n_clusters=3 clusters have samples"):
        fixed = MiniBatchKMeans(3, init=init, batch_size=100, max_iter=10, reassignment_ratio=0.0).fit(x)
    np.testing.assert_allclose(fixed.cluster_centers_[1:], init[1:])


def test_samples_of_no_weight_take_no_centroid() -> None:
    x, _ = blobs(1000, 2, 3)
    x[::10] += 500
    weights = np.ones(len(x))
    weights[::10] = 0.0
    init = np.concatenate([x[1:2], [[1e3, -1e3], [-1e3, 1e3]]])
    model = MiniBatchKMeans(3, init=init, batch_size=100, max_iter=10).fit(x, sample_weight=weights)
    assert np.abs(model.cluster_centers_).max() < 100
    model = MiniBatchKMeans(3, init=init).partial_fit(x, sample_weight=weights)
    assert np.abs(model.cluster_centers_).max() < 100


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_weights_follow_the_samples_to_the_device() -> None:
    x = torch.from_numpy(blobs()[0])
    weights = torch.ones(len(x))
    model = MiniBatchKMeans(3).partial_fit(x.cuda(), sample_weight=weights)
    model.partial_fit(x, sample_weight=weights)
    model.fit(x.cuda(), sample_weight=weights)
    assert model.score(x.cuda(), sample_weight=weights) == pytest.approx(-model.inertia_)


def test_weights_pull_centroids() -> None:
    x = np.array([[0.0], [1.0]]).repeat(50, axis=0)
    model = MiniBatchKMeans(1, init=[[0.5]], batch_size=100, max_iter=1).fit(x, sample_weight=np.repeat([1.0, 3.0], 50))
    assert model.cluster_centers_.item() == pytest.approx(0.75)
    assert model.inertia_ == pytest.approx(50 * 0.75**2 + 150 * 0.25**2)


def test_bad_input_is_refused() -> None:
    for method in ("fit", "partial_fit"):
        with pytest.raises(InputError, match="batch_size=0"):
            getattr(MiniBatchKMeans(2, batch_size=0), method)(np.zeros((3, 2)))
        with pytest.raises(InputError, match="reassignment_ratio=2"):
            getattr(MiniBatchKMeans(2, reassignment_ratio=2), method)(np.zeros((3, 2)))
    with pytest.raises(InputError, match="call fit first"):
        MiniBatchKMeans(2).predict(np.zeros((3, 2)))
    model = MiniBatchKMeans(2).partial_fit(np.random.default_rng(0).random((9, 2)))
    with pytest.raises(InputError, match="X has 3 features, but MiniBatchKMeans is expecting 2 features as input"):
        model.partial_fit(np.zeros((3, 3)))
    with pytest.raises(InputError, match="NaN"):
        MiniBatchKMeans(1).fit(np.full((3, 2), np.nan))
