"""K-means against scikit-learn's, and the degenerate cases of scikit-learn's own tests."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.cluster import kmeans_plusplus as sklearn_kmeans_plusplus
from sklearn.datasets import load_digits, load_iris, make_blobs
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.kmeans import KMeansResult, kmeans, kmeans_plusplus

lloyd = import_module("lightning_dc.kmeans.lloyd")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(n_samples: int = 300, n_features: int = 4, centers: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_blobs(n_samples, n_features, centers=centers, random_state=seed)
    return x.astype(np.float32), y


def uniform() -> np.ndarray:
    return np.random.default_rng(0).random((400, 3)).astype(np.float32)


def assert_consistent(x: Tensor, result: KMeansResult, rtol: float = 1e-4) -> None:
    """Labels and inertia are those of the returned centroids."""
    distances = cdist(x.double().numpy(), result.centroids.double().numpy(), "sqeuclidean")
    own = distances[np.arange(len(x)), result.labels.numpy()]
    scale = float((x.double() - x.double().mean(0)).square().sum(1).mean()) + 1e-12
    np.testing.assert_allclose(own, distances.min(1), atol=1e-4 * scale)
    assert result.inertia == pytest.approx(distances.min(1).sum(), rel=rtol, abs=1e-6 * scale * len(x))


DATA = {
    "blobs": (lambda: blobs()[0], 5),
    "more clusters than blobs": (lambda: blobs(seed=1)[0], 6),
    "uniform": (uniform, 6),
    "iris": (lambda: load_iris().data.astype(np.float32), 3),
    "digits": (lambda: load_digits().data[:900].astype(np.float32), 10),
    "two scales": (lambda: np.concatenate([blobs()[0] + 5e3, blobs(seed=1)[0] - 5e3]), 4),
}


@pytest.mark.parametrize("name", DATA)
def test_inertia_is_as_low_as_sklearns(name: str) -> None:
    load, n_clusters = DATA[name]
    x = load()
    theirs = KMeans(n_clusters, n_init=20, random_state=0).fit(x).inertia_
    result = kmeans(torch.from_numpy(x), n_clusters, n_init=20, generator=seeded())
    assert result.inertia <= 1.001 * theirs
    assert_consistent(torch.from_numpy(x), result)


def test_well_separated_blobs_are_found_exactly() -> None:
    x, y = make_blobs(200, 3, centers=[[0, 0, 0], [50, 0, 0], [0, 50, 0], [0, 0, 50]], random_state=0)
    result = kmeans(torch.from_numpy(x), 4, n_init=3, generator=seeded())
    assert adjusted_rand_score(y, result.labels.numpy()) == 1.0
    means = np.stack([x[result.labels.numpy() == k].mean(0) for k in range(4)])
    np.testing.assert_allclose(result.centroids.numpy(), means, rtol=1e-10, atol=1e-10)


def test_iterations_from_given_seeds_are_sklearns() -> None:
    x = uniform().astype(np.float64)
    seeds = kmeans_plusplus(torch.from_numpy(x - x.mean(0)), 6, generator=seeded(5))[0].numpy() + x.mean(0)
    theirs = KMeans(6, init=seeds, n_init=1, tol=1e-4).fit(x)
    ours = kmeans(torch.from_numpy(x), 6, n_init=1, generator=seeded(5))
    np.testing.assert_allclose(ours.centroids.numpy(), theirs.cluster_centers_, rtol=1e-9)
    np.testing.assert_array_equal(ours.labels.numpy(), theirs.labels_)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-9)
    assert ours.n_iterations == theirs.n_iter_


def test_as_many_clusters_as_samples_give_one_sample_each() -> None:
    x = torch.from_numpy(uniform()[:30])
    result = kmeans(x, 30, n_init=2, generator=seeded())
    assert sorted(result.labels.tolist()) == list(range(30))
    torch.testing.assert_close(result.centroids[result.labels], x, rtol=0, atol=1e-6)
    assert result.inertia == pytest.approx(0.0, abs=1e-9)


def test_one_cluster_is_the_mean() -> None:
    x = blobs()[0]
    result = kmeans(torch.from_numpy(x), 1, n_init=2, generator=seeded())
    np.testing.assert_allclose(result.centroids[0].numpy(), x.mean(0), rtol=1e-4, atol=1e-4)
    assert set(result.labels.tolist()) == {0}
    assert result.inertia == pytest.approx(len(x) * x.astype(np.float64).var(0).sum(), rel=1e-4)


def test_one_sample_is_its_own_cluster() -> None:
    result = kmeans(torch.tensor([[3.0, 4.0]]), 1)
    assert result.centroids.tolist() == [[3.0, 4.0]]
    assert result.labels.tolist() == [0]
    assert result.inertia == 0.0


@pytest.mark.parametrize("n_clusters", [1, 3, 20])
def test_constant_data_end_in_one_cluster_of_zero_inertia(n_clusters: int) -> None:
    x = torch.full((20, 3), 1.1)
    result = kmeans(x, n_clusters, n_init=2, generator=seeded())
    assert result.inertia == 0.0
    torch.testing.assert_close(result.centroids, x[:n_clusters])
    assert result.labels.tolist() == [0] * 20


def test_fewer_distinct_points_than_clusters_all_become_centroids() -> None:
    distinct = torch.tensor([[0.0, 0.0], [3.0, 1.0], [-2.0, 5.0]], dtype=torch.float64)
    x = distinct.repeat(6, 1)
    result = kmeans(x, 5, n_init=3, generator=seeded())
    assert result.inertia == pytest.approx(0.0, abs=1e-20)
    torch.testing.assert_close(result.centroids[result.labels], x)
    assert result.centroids.isfinite().all()
    assert len(result.centroids[result.labels].unique(dim=0)) == 3


def test_duplicated_rows_count_as_often_as_they_occur() -> None:
    x, _ = blobs(60)
    repeats = np.random.default_rng(0).integers(1, 4, len(x))
    result = kmeans(torch.from_numpy(x.repeat(repeats, axis=0)), 4, generator=seeded())
    theirs = KMeans(4, n_init=20, random_state=0).fit(x, sample_weight=repeats)
    assert result.inertia <= 1.001 * theirs.inertia_
    assert_consistent(torch.from_numpy(x.repeat(repeats, axis=0)), result)


def test_data_far_from_the_origin_give_the_same_clusters() -> None:
    x = torch.from_numpy(blobs()[0])
    x = (x * 64).round() / 64  # so that adding the offset is exact
    near, far = kmeans(x, 5, generator=seeded()), kmeans(x + 1e4, 5, generator=seeded())
    assert adjusted_rand_score(near.labels.numpy(), far.labels.numpy()) == 1.0
    assert far.inertia == pytest.approx(near.inertia, rel=1e-5)
    theirs = KMeans(5, n_init=20, random_state=0).fit(x.double().numpy()).inertia_
    assert far.inertia <= 1.001 * theirs


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.int64, torch.float32),
    ],
)
def test_centroids_have_the_precision_of_the_data_but_at_least_float32(
    dtype: torch.dtype, expected: torch.dtype
) -> None:
    result = kmeans(torch.from_numpy(blobs(50)[0] * 10).to(dtype), 3, n_init=2, generator=seeded())
    assert result.centroids.dtype == expected
    assert result.labels.dtype == torch.int64


def test_float64_data_are_clustered_in_float64() -> None:
    x = torch.tensor([[1.0], [1.0 + 1e-6], [2.0], [2.0 + 1e-6]], dtype=torch.float64)
    result = kmeans(x, 4, generator=seeded())
    assert sorted(result.labels.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("form", ["transposed", "strided"])
def test_memory_layout_does_not_matter(form: str) -> None:
    x = torch.from_numpy(blobs()[0])
    wide = torch.full((len(x), 8), 99.0)
    wide[:, ::2] = x
    other = {"transposed": x.T.contiguous().T, "strided": wide[:, ::2]}[form]
    assert not other.is_contiguous()
    first, second = kmeans(x, 5, generator=seeded()), kmeans(other, 5, generator=seeded())
    assert adjusted_rand_score(first.labels.numpy(), second.labels.numpy()) == 1.0
    assert second.inertia == pytest.approx(first.inertia, rel=1e-6)


def test_data_are_not_written_to_nor_tracked() -> None:
    x = torch.from_numpy(blobs()[0]).requires_grad_()
    before = x.detach().clone()
    result = kmeans(x, 3, n_init=2, generator=seeded())
    assert torch.equal(x, before)
    assert not result.centroids.requires_grad


def test_the_generator_alone_decides() -> None:
    x = torch.from_numpy(uniform())
    torch.manual_seed(1)
    first = kmeans(x, 6, n_init=1, generator=seeded(3))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = kmeans(x, 6, n_init=1, generator=seeded(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.centroids, second.centroids)
    assert torch.equal(first.labels, second.labels)
    assert first[2:] == second[2:]
    others = [kmeans(x, 6, n_init=1, generator=seeded(seed)).centroids for seed in range(4, 8)]
    assert not all(torch.equal(first.centroids, other) for other in others)


def test_more_restarts_are_never_worse_than_the_best_of_their_seeds() -> None:
    x = torch.from_numpy(uniform())
    centred = x - x.mean(0)
    seeds = kmeans_plusplus(centred, 8, n_init=12, generator=seeded(1))
    theirs = [KMeans(8, init=s.numpy(), n_init=1).fit(centred.numpy()).inertia_ for s in seeds]
    result = kmeans(x, 8, n_init=12, generator=seeded(1))
    assert max(theirs) > 1.005 * min(theirs)
    assert result.inertia == pytest.approx(min(theirs), rel=1e-3)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(blobs()[0].astype(np.float64))
    whole = kmeans(x, 5, n_init=4, generator=seeded())
    monkeypatch.setattr(lloyd, "_CHUNK_ELEMENTS", 4 * 5 * 37)
    chunked = kmeans(x, 5, n_init=4, generator=seeded())
    torch.testing.assert_close(chunked.centroids, whole.centroids, rtol=1e-12, atol=1e-12)
    assert torch.equal(chunked.labels, whole.labels)


def test_autocast_does_not_lower_the_precision() -> None:
    x = torch.from_numpy(uniform())
    expected = kmeans(x, 6, generator=seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = kmeans(x, 6, generator=seeded())
    assert torch.equal(result.centroids, expected.centroids)


def test_a_sample_between_two_centroids_goes_to_the_lower_number(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor([[-1.0], [0.0], [1.0], [0.0]])
    monkeypatch.setattr(lloyd, "kmeans_plusplus", lambda *_, **__: torch.tensor([[[1.0], [-1.0]], [[-1.0], [1.0]]]))
    seeds_only = kmeans(x, 2, max_iter=0)
    assert seeds_only.labels.tolist() == [1, 0, 0, 0]
    assert seeds_only.inertia == 2.0
    once = kmeans(x, 2, max_iter=1)  # the samples at 0 move one centroid, not both
    torch.testing.assert_close(once.centroids, torch.tensor([[1 / 3], [-1.0]]))


@pytest.mark.parametrize("n_empty", [1, 2])
def test_empty_clusters_move_to_the_farthest_samples(monkeypatch: pytest.MonkeyPatch, n_empty: int) -> None:
    """As in scikit-learn's test of relocated clusters: seeds so far away that no sample is theirs."""
    x = torch.tensor([[0.0], [0.1], [0.2], [5.0], [9.0]], dtype=torch.float64)
    seeds = torch.tensor([[[0.0], [100.0], [200.0]][: 1 + n_empty]], dtype=torch.float64)
    monkeypatch.setattr(lloyd, "kmeans_plusplus", lambda *_, **__: seeds - x.mean(0))  # data are centred
    once = kmeans(x, 1 + n_empty, max_iter=1)
    farthest = [9.0, 5.0][:n_empty]
    np.testing.assert_allclose(once.centroids[1:, 0].numpy(), farthest)
    result = kmeans(x, 1 + n_empty)
    assert len(set(result.labels.tolist())) == 1 + n_empty
    theirs = KMeans(1 + n_empty, init=seeds[0].numpy(), n_init=1).fit(x.numpy())
    assert result.inertia == pytest.approx(theirs.inertia_)


def test_max_iter_bounds_every_restart() -> None:
    x = torch.from_numpy(uniform())
    assert kmeans(x, 8, n_init=3, max_iter=2, generator=seeded()).n_iterations == 2


def test_zero_tolerance_ends_at_a_fixed_point_of_lloyds_iteration() -> None:
    x = torch.from_numpy(uniform().astype(np.float64))
    result = kmeans(x, 6, n_init=1, tol=0.0, generator=seeded())
    means = torch.stack([x[result.labels == k].mean(0) for k in range(6)])
    torch.testing.assert_close(result.centroids, means, rtol=1e-12, atol=1e-12)
    assert 1 < result.n_iterations < 300


def test_seeds_are_distinct_samples() -> None:
    x = torch.from_numpy(uniform()[:40])
    seeds = kmeans_plusplus(x, 10, n_init=7, generator=seeded())
    assert seeds.shape == (7, 10, 3)
    rows = {tuple(row) for row in x.tolist()}
    for restart in seeds.tolist():
        assert {tuple(seed) for seed in restart} <= rows
        assert len({tuple(seed) for seed in restart}) == 10


def test_seeding_finds_every_separated_blob() -> None:
    x, y = make_blobs(120, 2, centers=[[0, 0], [1e3, 0], [0, 1e3], [1e3, 1e3]], random_state=0)
    seeds = kmeans_plusplus(torch.from_numpy(x), 4, n_init=10, generator=seeded())
    for restart in seeds.numpy():
        assert {int(y[np.where((x == seed).all(1))[0][0]]) for seed in restart} == {0, 1, 2, 3}


def test_seeds_are_as_good_as_sklearns_greedy_ones() -> None:
    x = uniform().astype(np.float64)
    seeds = kmeans_plusplus(torch.from_numpy(x), 12, n_init=60, generator=seeded()).numpy()
    ours = np.mean([cdist(x, own, "sqeuclidean").min(1).sum() for own in seeds])
    theirs, of_one_candidate = (
        np.mean(
            [
                cdist(x, sklearn_kmeans_plusplus(x, 12, random_state=i, n_local_trials=n)[0], "sqeuclidean")
                .min(1)
                .sum()
                for i in range(60)
            ]
        )
        for n in (None, 1)
    )
    assert ours == pytest.approx(theirs, rel=0.02)
    assert ours < 0.97 * of_one_candidate


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        (torch.zeros(5), {"n_clusters": 2}, r"matrix \(N, D\), got shape \(5,\)"),
        (torch.zeros(5, 2, 2), {"n_clusters": 2}, r"shape \(5, 2, 2\); flatten"),
        (torch.rand(5, 2), {"n_clusters": 6}, "n_clusters=6 .* the 5 samples"),
        (torch.rand(5, 2), {"n_clusters": 0}, "n_clusters=0"),
        (torch.zeros(0, 2), {"n_clusters": 1}, "0 samples"),
        (torch.rand(5, 2), {"n_clusters": 2, "n_init": 0}, "n_init=0"),
        (torch.tensor([[0.0], [float("nan")]]), {"n_clusters": 1}, "NaN or infinite"),
        (torch.tensor([[0.0], [float("inf")]]), {"n_clusters": 1}, "NaN or infinite"),
    ],
)
def test_bad_input_is_refused(x: Tensor, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kmeans(x, **arguments)


def test_a_warm_start_equals_sklearn_from_the_same_centroids() -> None:
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(400, 3)) + 50)
    init = x[:6]
    reference = KMeans(6, init=init.numpy(), n_init=1, tol=0, max_iter=300).fit(x.numpy())
    result = kmeans(x, 6, init=init, tol=0)
    np.testing.assert_allclose(result.centroids.numpy(), reference.cluster_centers_, atol=1e-9)
    np.testing.assert_array_equal(result.labels.numpy(), reference.labels_)
    with pytest.raises(InputError, match=r"init of k-means has shape \(5, 3\); give \(6, 3\)"):
        kmeans(x, 6, init=x[:5])
