"""Tests of k-means against scikit-learn, including the degenerate cases of scikit-learn's own tests."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris, make_blobs
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.errors import InputError
from lightning_dc.kmeans import KMeansResult, kmeans, kmeans_plusplus
from lightning_dc.kmeans.owned_samples import prepare
from tests.helpers.points import blobs, seeded, uniform
from tests.helpers.processes import run_command

lloyd = import_module("lightning_dc.kmeans.lloyd")
native = import_module("lightning_dc.kmeans.native")
nearest = import_module("lightning_dc.kmeans.nearest")


def assert_consistent(x: Tensor, result: KMeansResult, rtol: float = 1e-4) -> None:
    """Check that labels and inertia belong to the returned centroids."""
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
    assert ours.n_iter == theirs.n_iter_


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
        (torch.bool, torch.float32),
        (torch.uint8, torch.float32),
        (torch.int16, torch.float32),
        (torch.int32, torch.float64),
        (torch.int64, torch.float64),
    ],
)
def test_centroids_have_the_precision_of_the_data_but_at_least_float32(
    dtype: torch.dtype, expected: torch.dtype
) -> None:
    result = kmeans(torch.from_numpy(blobs(50)[0] * 10).to(dtype), 3, n_init=2, generator=seeded())
    assert result.centroids.dtype == expected
    assert result.labels.dtype == torch.int64


def test_large_integers_are_told_apart() -> None:
    x = torch.tensor([[2**30], [2**30 + 1], [2**30 + 2], [0]])
    assert sorted(kmeans(x, 4, generator=seeded()).labels.tolist()) == [0, 1, 2, 3]


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
    monkeypatch.setattr(nearest, "_CHUNK_ELEMENTS", 4 * 5 * 37)
    chunked = kmeans(x, 5, n_init=4, generator=seeded())
    torch.testing.assert_close(chunked.centroids, whole.centroids, rtol=1e-12, atol=1e-12)
    assert torch.equal(chunked.labels, whole.labels)


@pytest.mark.parametrize(("n_clusters", "dtype"), [(5, torch.float64), (40, torch.float32)])
def test_how_rows_are_grouped_does_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch, n_clusters: int, dtype: torch.dtype
) -> None:
    x = torch.randn(4 * CHUNK_SIZE + 300, 3, generator=seeded()).to(dtype)
    weights = torch.rand(len(x), generator=seeded(1))
    far = torch.cat([x[: n_clusters - 1], torch.full((1, 3), 1e3)])  # repaired
    for arguments in ({"n_init": 3}, {"init": far}):
        plain = dict(arguments, max_iter=12, sample_weight=weights)
        whole = kmeans(x, n_clusters, generator=seeded(), **plain)
        with monkeypatch.context() as patch:
            patch.setattr(nearest, "_RESULT_ELEMENTS", 3000)
            groups = kmeans(x, n_clusters, generator=seeded(), **plain)
        torch.testing.assert_close(groups.centroids, whole.centroids)
        assert torch.equal(groups.labels, whole.labels)
        assert groups.n_iter == whole.n_iter
        assert groups.inertia == pytest.approx(whole.inertia, rel=1e-12)


@pytest.mark.parametrize(("n_clusters", "n_features", "n_init"), [(5, 3, 3), (40, 21, 1), (3, 1, 2)])
def test_the_number_of_threads_does_not_change_a_bit(n_clusters: int, n_features: int, n_init: int) -> None:
    x = torch.randn(20_000, n_features, generator=seeded())
    weights = torch.rand(len(x), generator=seeded(1))
    seeds = x[torch.randperm(len(x), generator=seeded(2))[: n_init * n_clusters]].view(n_init, n_clusters, -1)
    results = []
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)  # a fixture of all tests restores the number
        results.append(kmeans(x, n_clusters, init=seeds, max_iter=8, tol=0.0, sample_weight=weights))
    for other in results[1:]:
        assert torch.equal(other.centroids, results[0].centroids)
        assert torch.equal(other.labels, results[0].labels)
        assert other.inertia == results[0].inertia


@pytest.mark.parametrize("inner_loops", ["compiled"], indirect=True)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_samples=st.integers(1, 150),
    n_features=st.integers(0, 40),
    n_clusters=st.integers(2, 80),
    n_restarts=st.integers(1, 3),
    quantised=st.booleans(),
)
def test_compiled_loops_do_what_pytorch_does(
    seed: int, n_samples: int, n_features: int, n_clusters: int, n_restarts: int, quantised: bool
) -> None:
    generator = seeded(seed)
    x = torch.randn(n_samples, n_features, generator=generator) * 3
    x = x.round() if quantised else x
    centroids = torch.randn(n_restarts, n_clusters, n_features, generator=generator).double() * 3
    centroids = centroids.round() if quantised else centroids
    distances = (x.double()[:, None] - centroids[:, None]).square().sum(3)  # (R, n, K)
    begin = torch.randint(0, n_clusters + 1, (n_restarts, n_samples), generator=generator, dtype=torch.int32)
    labels = begin.clone()
    native.assign_(x, x.norm(dim=1), centroids, centroids.square().sum(2), nearest._relative_error_bound(x), labels)
    assert torch.equal(labels, distances.argmin(2).to(torch.int32))

    weights = torch.rand(n_samples, generator=generator).double()
    samples = replace(prepare(x, weights, None, spherical=False), x=x, weights=weights)
    totals = torch.randn(n_restarts, n_clusters + 1, n_features + 1, generator=generator).double()
    expected = totals.clone()
    n_moved = lloyd.move_rows_(samples, begin, labels, totals)
    assert n_moved.tolist() == (begin != labels).sum(1).tolist()
    terms = weights[:, None] * torch.cat([x.double(), torch.ones(n_samples, 1).double()], 1)
    for r in range(n_restarts):
        expected[r] += torch.nn.functional.one_hot(labels[r].long(), n_clusters + 1).T.double() @ terms
        expected[r] -= torch.nn.functional.one_hot(begin[r].long(), n_clusters + 1).T.double() @ terms
        own = native.own_distances(x, centroids[r], labels[r])
        torch.testing.assert_close(own, distances[r].gather(1, labels[r, :, None].long())[:, 0])
    torch.testing.assert_close(totals[:, :-1], expected[:, :-1])


def test_autocast_does_not_lower_the_precision() -> None:
    x = torch.from_numpy(uniform())
    expected = kmeans(x, 6, generator=seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = kmeans(x, 6, generator=seeded())
    assert torch.equal(result.centroids, expected.centroids)


def test_a_sample_between_two_centroids_goes_to_the_lower_number() -> None:
    x = torch.tensor([[-1.0], [0.0], [1.0], [0.0]])
    seeds = torch.tensor([[[1.0], [-1.0]], [[-1.0], [1.0]]])
    seeds_only = kmeans(x, 2, init=seeds, max_iter=0)
    assert seeds_only.labels.tolist() == [1, 0, 0, 0]
    assert seeds_only.inertia == 2.0
    once = kmeans(x, 2, init=seeds, max_iter=1)  # the samples at 0 move one centroid, not both
    torch.testing.assert_close(once.centroids, torch.tensor([[1 / 3], [-1.0]]))


@pytest.mark.parametrize("n_empty", [1, 2])
def test_empty_clusters_move_to_the_farthest_samples(n_empty: int) -> None:
    """As in scikit-learn's test of relocated clusters, some seeds are so far away that they get no sample."""
    x = torch.tensor([[0.0], [0.1], [0.2], [5.0], [9.0]], dtype=torch.float64)
    seeds = torch.tensor([[0.0], [100.0], [200.0]][: 1 + n_empty], dtype=torch.float64)
    once = kmeans(x, 1 + n_empty, init=seeds, max_iter=1)
    farthest = [9.0, 5.0][:n_empty]
    np.testing.assert_allclose(once.centroids[1:, 0].numpy(), farthest)
    theirs = KMeans(1 + n_empty, init=seeds.numpy(), n_init=1, max_iter=1).fit(x.numpy())
    np.testing.assert_allclose(once.centroids.numpy(), theirs.cluster_centers_, rtol=1e-12)
    result = kmeans(x, 1 + n_empty, init=seeds)
    assert len(set(result.labels.tolist())) == 1 + n_empty
    theirs = KMeans(1 + n_empty, init=seeds.numpy(), n_init=1).fit(x.numpy())
    assert result.inertia == pytest.approx(theirs.inertia_)


def test_max_iterations_bounds_every_restart() -> None:
    x = torch.from_numpy(uniform())
    assert kmeans(x, 8, n_init=3, max_iter=2, generator=seeded()).n_iter == 2


def test_zero_tolerance_ends_at_a_fixed_point_of_lloyds_iteration() -> None:
    x = torch.from_numpy(uniform().astype(np.float64))
    result = kmeans(x, 6, n_init=1, tol=0.0, generator=seeded())
    means = torch.stack([x[result.labels == k].mean(0) for k in range(6)])
    torch.testing.assert_close(result.centroids, means, rtol=1e-12, atol=1e-12)
    assert 1 < result.n_iter < 300


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        (torch.zeros(5), {"n_clusters": 2}, r"matrix \(N, D\), got shape \(5,\)"),
        (torch.zeros(5, 2, 2), {"n_clusters": 2}, r"shape \(5, 2, 2\); flatten"),
        (torch.rand(5, 2), {"n_clusters": 6}, "n_clusters=6 .* the 5 samples"),
        (torch.rand(5, 2), {"n_clusters": 0}, "n_clusters=0"),
        (torch.zeros(0, 2), {"n_clusters": 1}, "0 samples"),
        (torch.rand(5, 2), {"n_clusters": 2, "init": "kmeans"}, "init='kmeans'"),
        (torch.rand(5, 2), {"n_clusters": 2, "init": torch.full((2, 2), torch.nan)}, "init of k-means holds NaN"),
        (torch.rand(5, 2), {"n_clusters": 2, "sample_weight": torch.ones(4)}, r"sample_weight has shape \(4,\)"),
        (torch.rand(5, 2), {"n_clusters": 2, "sample_weight": -torch.ones(5)}, "negative"),
        (torch.rand(5, 2), {"n_clusters": 2, "sample_weight": torch.zeros(5)}, "all sample_weight are zero"),
        (torch.eye(3)[:, :2], {"n_clusters": 2, "spherical": True}, "1 samples are zero .* drop them"),
        (torch.rand(5, 2), {"n_clusters": 2, "n_total": 6}, r"x has 5 rows; of n_total=6"),
        (torch.rand(5, 2), {"n_clusters": 2, "n_init": 0}, "n_init=0"),
        (torch.rand(5, 2), {"n_clusters": 2, "max_iter": -1}, "max_iter=-1"),
        (torch.rand(5, 2), {"n_clusters": 2, "sample_weight": ["a"] * 5}, "sample_weight of k-means holds no numbers"),
        (
            torch.rand(5, 2),
            {"n_clusters": 2, "sample_weight": torch.ones(5).cfloat()},
            "sample_weight of k-means holds torch.complex64",
        ),
        (torch.rand(5, 2).cfloat(), {"n_clusters": 2}, "x of k-means holds torch.complex64"),
        (
            torch.rand(5, 2),
            {"n_clusters": 3, "init": "random", "sample_weight": torch.tensor([1.0, 0.0, 0.0, 2.0, 0.0])},
            "only 2 samples have a positive sample_weight",
        ),
        (torch.tensor([[0.0], [float("nan")]]), {"n_clusters": 1}, "NaN or infinite"),
        (torch.tensor([[0.0], [float("inf")]]), {"n_clusters": 1}, "NaN or infinite"),
    ],
)
def test_bad_input_is_refused(x: Tensor, arguments: dict[str, Any], message: str) -> None:
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


@pytest.mark.parametrize(("n_clusters", "n_features"), [(2, 1), (7, 5), (31, 3), (32, 40), (90, 70), (300, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_from_given_centroids_is_sklearns(n_clusters: int, n_features: int, dtype: Any) -> None:
    """Cover every layout of the scores, in one step and to the end: labels, centroids and iterations are equal."""
    x = np.random.default_rng(n_clusters).normal(size=(3000, n_features)).astype(dtype) + 2
    weights = np.random.default_rng(0).integers(1, 5, len(x)).astype(np.float64)
    for max_iter, sample_weight in ((1, None), (200, None), (200, weights)):
        theirs = KMeans(n_clusters, init=x[:n_clusters], n_init=1, max_iter=max_iter).fit(
            x, sample_weight=sample_weight
        )
        result = kmeans(
            torch.from_numpy(x),
            n_clusters,
            init=torch.from_numpy(x[:n_clusters]),
            max_iter=max_iter,
            sample_weight=None if sample_weight is None else torch.from_numpy(sample_weight),
        )
        rtol = 1e-10 if dtype is np.float64 else 1e-4
        assert result.n_iter == theirs.n_iter_
        assert (result.labels.numpy() != theirs.labels_).sum() <= (0 if dtype is np.float64 else 2)
        np.testing.assert_allclose(result.centroids.numpy(), theirs.cluster_centers_, rtol=rtol, atol=rtol)
        assert result.inertia == pytest.approx(theirs.inertia_, rel=rtol)


class Reference(NamedTuple):
    """Result of Lloyd's iterations in float64: the last centroids and their labels.

    ``is_repaired``: a cluster has lost all its samples on the way, which the engine moves and the reference does not.
    ``is_open``: two centroids were equally near to a sample up to rounding, so that both are correct.
    """

    labels: Tensor
    centroids: Tensor
    is_repaired: bool
    is_open: bool


def brute_force(x: Tensor, centroids: Tensor, n_iter: int, weights: Tensor) -> Reference:
    x, centroids = x.double(), centroids.double()
    is_repaired, is_open = False, False
    for i in range(n_iter + 1):
        distances = (x[:, None] - centroids).square().sum(2)
        best, labels = distances.min(1)
        two = distances.topk(2, largest=False).values
        close = two[:, 1] - two[:, 0] <= 1e-9 * (two[:, 1] + x.square().sum(1))
        exact = i == 0 and torch.equal(x, x.round())  # ties between whole numbers go to the lower number
        is_open |= bool(close.any()) and not exact
        if exact:
            labels = (distances == best[:, None]).int().argmax(1)
        if i == n_iter:
            break
        for k in range(len(centroids)):
            weight = weights[labels == k].sum()
            if weight == 0:
                is_repaired = True
            else:
                centroids[k] = (weights[labels == k, None] * x[labels == k]).sum(0) / weight
    return Reference(labels, centroids, is_repaired, is_open)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_clusters=st.integers(2, 40),
    n_features=st.integers(1, 12),
    n_iter=st.integers(1, 12),
    spread=st.sampled_from([0.1, 1.0, 10.0]),
    quantised=st.booleans(),
)
def test_a_run_is_lloyds_iteration_in_float64(
    seed: int, n_clusters: int, n_features: int, n_iter: int, spread: float, quantised: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(n_clusters, n_features, generator=generator) * spread
    x = centers.repeat(12, 1) + torch.randn(12 * n_clusters, n_features, generator=generator)
    if quantised:  # many distances are equal
        x = x.round()
    weights = torch.rand(len(x), generator=generator).double()
    starts = torch.stack([x[torch.randperm(len(x), generator=generator)[:n_clusters]] for _ in range(3)])
    for start in starts:
        expected = brute_force(x, start, n_iter, weights)
        if expected.is_repaired or expected.is_open:
            event("repaired" if expected.is_repaired else "open")
            continue
        event("compared")
        result = kmeans(x, n_clusters, init=start, max_iter=n_iter, tol=-1.0, sample_weight=weights)
        scale = float(x.square().mean()) ** 0.5
        torch.testing.assert_close(result.centroids.double(), expected.centroids, rtol=1e-5, atol=1e-5 * scale)
        assert torch.equal(result.labels, expected.labels)


def test_ties_are_settled_by_exact_distances() -> None:
    """Rows lie so near to the middle between two centroids that a float32 product cannot tell which one is nearer."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(40, 30, generator=generator)
    middle = torch.randn(30, generator=generator) * 30
    offsets = torch.randn(2000, 40, generator=generator).unsqueeze(2) * directions * 1e-6
    x = (middle + offsets.sum(1)).float()
    centroids = torch.cat([middle + directions, middle - directions]).double()
    labels = torch.full((1, len(x)), len(centroids), dtype=torch.int32)
    nearest.assign_(x, x.norm(dim=1), centroids.unsqueeze(0), labels)
    exact = (x.double()[:, None] - centroids).square().sum(2)
    assert torch.equal(labels[0], exact.argmin(1).to(torch.int32))
    product = torch.addmm(centroids.square().sum(1).float(), x, centroids.T.float(), alpha=-2.0)
    assert (product.argmin(1) != exact.argmin(1)).any()  # the product alone is not enough


@pytest.mark.parametrize("exponent", [-30, -10, 10, 30])
def test_huge_and_tiny_data_give_the_same_clusters(exponent: int) -> None:
    x = torch.from_numpy(uniform())
    scale = 2.0 ** round(exponent / 0.30103)
    plain, scaled = kmeans(x, 6, generator=seeded()), kmeans(x * scale, 6, generator=seeded())
    assert torch.equal(plain.labels, scaled.labels)
    torch.testing.assert_close(scaled.centroids / scale, plain.centroids, rtol=1e-5, atol=1e-6)
    assert scaled.inertia / scale**2 == pytest.approx(plain.inertia, rel=1e-5)


def test_one_far_outlier_leaves_the_others_their_clusters() -> None:
    x, y = blobs()
    x = np.concatenate([x, np.full((1, 4), 1e6, dtype=np.float32)])
    result = kmeans(torch.from_numpy(x), 6, generator=seeded())
    assert adjusted_rand_score(y, result.labels[:-1].numpy()) > 0.95


def test_the_best_restart_is_found_beside_a_far_outlier() -> None:
    x = torch.cat([torch.from_numpy(uniform()), torch.full((1, 3), 1e5)])
    starts = kmeans_plusplus(x, 9, n_init=20, generator=seeded())
    single = [kmeans(x, 9, init=start).inertia for start in starts]
    assert max(single) > 1.05 * min(single)
    assert single[0] > 1.01 * min(single)
    result = kmeans(x, 9, init=starts)
    assert result.inertia == pytest.approx(min(single), rel=1e-9)


def test_weights_count_like_repetitions() -> None:
    x = torch.from_numpy(uniform().astype(np.float64))
    repeats = torch.from_numpy(np.random.default_rng(0).integers(0, 4, len(x)))
    seeds = x[repeats > 0][:6]
    weighted = kmeans(x, 6, init=seeds, sample_weight=repeats, tol=0.0)
    repeated = kmeans(x.repeat_interleave(repeats, dim=0), 6, init=seeds, tol=0.0)
    torch.testing.assert_close(weighted.centroids, repeated.centroids, rtol=1e-10, atol=1e-10)
    assert weighted.inertia == pytest.approx(repeated.inertia, rel=1e-10)
    assert torch.equal(weighted.labels.repeat_interleave(repeats), repeated.labels)


@pytest.mark.parametrize("max_iter", [3, 300])
@pytest.mark.parametrize("tol", [0.0, 1e-4])
def test_a_heavy_sample_that_leaves_a_cluster_leaves_no_trace(max_iter: int, tol: float) -> None:
    """Float64 sums near 1e17 are multiples of 16, but the sum of the samples that stay is not."""
    x = torch.tensor([[0.0], [1.0], [2.0], [3.0], [100.0]], dtype=torch.float64)
    weights = torch.tensor([1.0, 1.0, 1.0, 1.0, 1e15], dtype=torch.float64)
    init = torch.tensor([[1.0], [1e3]], dtype=torch.float64)  # the heavy sample starts in the cluster of the others
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0]):
        result = kmeans(x[order], 2, init=init, sample_weight=weights[order], tol=tol, max_iter=max_iter)
        assert sorted(result.centroids[:, 0].tolist()) == [1.5, 100.0]
        assert result.inertia == 5.0


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_made_anew_change_nothing(monkeypatch: pytest.MonkeyPatch, weighted: bool) -> None:
    x = torch.from_numpy(uniform().astype(np.float64))
    weights = torch.rand(len(x), generator=seeded()).double() if weighted else None
    expected = kmeans(x, 20, n_init=4, tol=0.0, sample_weight=weights, generator=seeded())
    monkeypatch.setattr(import_module("lightning_dc.kmeans.lloyd"), "_REBUILD_EVERY", 2)
    result = kmeans(x, 20, n_init=4, tol=0.0, sample_weight=weights, generator=seeded())
    torch.testing.assert_close(result.centroids, expected.centroids, rtol=1e-13, atol=1e-13)
    assert torch.equal(result.labels, expected.labels)
    assert result.n_iter == expected.n_iter


def test_equal_weights_change_nothing() -> None:
    x = torch.from_numpy(uniform())
    plain = kmeans(x, 6, n_init=3, generator=seeded())
    for weight, factor in ((1.0, 1.0), (0.25, 0.25)):
        weighted = kmeans(x, 6, n_init=3, generator=seeded(), sample_weight=torch.full((len(x),), weight))
        torch.testing.assert_close(weighted.centroids, plain.centroids)
        assert torch.equal(weighted.labels, plain.labels)
        assert weighted.inertia == pytest.approx(plain.inertia * factor)


def test_samples_of_zero_weight_get_a_label_only() -> None:
    x = torch.from_numpy(uniform().astype(np.float64))
    weights = torch.ones(len(x))
    weights[::3] = 0.0
    seeds = x[1:20:3][:4]
    result = kmeans(x, 4, init=seeds, sample_weight=weights)
    kept = kmeans(x[weights > 0], 4, init=seeds, tol=0.0)
    torch.testing.assert_close(result.centroids, kept.centroids, rtol=1e-2, atol=1e-2)
    assert result.labels.shape == (len(x),)


def test_a_cluster_of_zero_weight_samples_is_empty() -> None:
    x = torch.tensor([[0.0], [1.0], [10.0], [11.0], [50.0]], dtype=torch.float64)
    weights = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    result = kmeans(x, 2, init=torch.tensor([[0.0], [50.0]]), sample_weight=weights)
    assert sorted(result.centroids[:, 0].tolist()) == [0.5, 10.5]


def test_spherical_is_lloyd_on_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(900, 6, generator=generator).double() + 0.5
    weights = torch.rand(len(x), generator=generator).double()
    unit = torch.nn.functional.normalize(x, dim=1)
    centroids = unit[:5].clone()
    for _ in range(4):
        labels = (unit @ centroids.T).argmax(1)
        sums = torch.zeros_like(centroids).index_add_(0, labels, unit * weights[:, None])
        centroids = torch.nn.functional.normalize(sums, dim=1)
    labels = (unit @ centroids.T).argmax(1)
    for scale in (1.0, 1e12):
        result = kmeans(x * scale, 5, init=x[:5], max_iter=4, tol=0.0, sample_weight=weights, spherical=True)
        torch.testing.assert_close(result.centroids, centroids, rtol=1e-10, atol=1e-10)
        assert torch.equal(result.labels, labels)
        cosines = (unit * centroids[labels]).sum(1)
        assert result.inertia == pytest.approx(float((weights * (1 - cosines)).sum()), rel=1e-9)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_fast_float32_products_are_not_used(precision: str) -> None:
    x = torch.from_numpy(uniform())
    expected = kmeans(x, 6, n_init=2, generator=seeded())
    torch.set_float32_matmul_precision(precision)
    try:
        result = kmeans(x, 6, n_init=2, generator=seeded())
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(result.centroids, expected.centroids)


_PRECISIONS = """
import torch

from lightning_dc.kmeans import kmeans
from lightning_dc.kmeans.precision import full_precision

matmul, mkldnn = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul


def state():
    return torch.backends.fp32_precision, matmul.fp32_precision, mkldnn.fp32_precision


{setting}
before = state()
with full_precision(torch.device("cpu")):
    assert set(state()[1:]) <= {{"none", "ieee"}}, state()
kmeans(torch.rand(20, 2), 3)
assert state() == before, (before, state())
{then}
"""


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch before 2.9")
@pytest.mark.parametrize(
    ("setting", "then"),
    [
        ("matmul.fp32_precision = 'tf32'", ""),
        ("mkldnn.fp32_precision = 'bf16'", ""),
        (
            "torch.backends.fp32_precision = 'tf32'",
            "torch.backends.fp32_precision = 'ieee'; assert state()[1] == 'ieee'",
        ),
        ("torch.set_float32_matmul_precision('medium')", "assert torch.get_float32_matmul_precision() == 'medium'"),
        ("matmul.allow_tf32 = True", "assert matmul.allow_tf32 and torch.get_float32_matmul_precision() == 'high'"),
        ("", "assert torch.get_float32_matmul_precision() == 'highest'"),
    ],
)
@pytest.mark.parametrize("inner_loops", ["as installed"], indirect=True)
def test_the_precision_of_products_is_as_before_however_it_was_set(setting: str, then: str) -> None:
    """Run in a process of its own, since torch keeps a mixture of its old and new settings forever."""
    code = _PRECISIONS.format(setting=setting, then=then)
    run_command([sys.executable, "-c", code])


def test_restarts_from_given_centroids_return_the_best() -> None:
    x = torch.from_numpy(uniform().astype(np.float64))
    starts = torch.stack([x[i * 8 : i * 8 + 8] for i in range(6)])
    single = [kmeans(x, 8, init=start, tol=0.0) for start in starts]
    result = kmeans(x, 8, init=starts, tol=0.0)
    best = min(single, key=lambda each: each.inertia)
    assert result.inertia == pytest.approx(best.inertia, rel=1e-12)
    torch.testing.assert_close(result.centroids, best.centroids)
    assert result.n_iter == best.n_iter


def test_no_more_labels_than_fit_into_memory_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(uniform().astype(np.float64))
    whole = kmeans(x, 8, n_init=7, generator=seeded())
    monkeypatch.setattr(import_module("lightning_dc.kmeans.lloyd"), "_LABELS_TOGETHER", 2 * len(x))
    parts = kmeans(x, 8, n_init=7, generator=seeded())
    torch.testing.assert_close(parts.centroids, whole.centroids)
    assert torch.equal(parts.labels, whole.labels)
    assert parts.inertia == pytest.approx(whole.inertia)


def test_weights_may_be_a_column_of_a_table() -> None:
    x = torch.randn(400, 3, generator=seeded())
    table = torch.rand(400, 4, dtype=torch.float64, generator=seeded(1))
    for weights in (table[:, 2], torch.full((1,), 2.0, dtype=torch.float64).expand(400)):
        expected = (x.double() * weights[:, None]).sum(0) / weights.sum()
        torch.testing.assert_close(
            kmeans(x, 1, sample_weight=weights).centroids[0].double(), expected, atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("weight", [5e307, 1e308, 1e-310])
def test_weights_that_do_not_add_up_are_refused(weight: float) -> None:
    x = torch.randn(20, 3, generator=seeded())
    with pytest.raises(InputError, match="largest sample_weight is"):
        kmeans(x, 3, sample_weight=torch.full((20,), weight, dtype=torch.float64))


def test_centroids_very_far_away_are_told_apart() -> None:
    x = torch.randn(50, 2, generator=seeded())
    centroids = torch.tensor([[3e16, 0.0], [1e16, 0.0]])
    assert (kmeans(x, 2, init=centroids, max_iter=0).labels == 1).all()


def test_a_library_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Larger(native._Assignment):
        _fields_ = (("more", native._Integer),)

    monkeypatch.setattr(native, "_Assignment", Larger)
    assert native._load() is None
