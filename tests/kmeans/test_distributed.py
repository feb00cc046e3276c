"""K-means on two gloo processes gives the results of one process."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_dc.distributed import owned_rows
from lightning_dc.errors import InputError
from lightning_dc.kmeans import KMeansResult, counted_update_, kmeans, kmeans_plusplus
from tests.helpers.processes import run_on_two_processes

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.parametrize("inner_loops", ["as installed"], indirect=True),
]


def data(n_samples: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    centers = torch.randn(12, 5, generator=generator, dtype=torch.float64) * 2
    component = torch.randint(12, (n_samples,), generator=generator)
    noise = torch.randn(n_samples, 5, generator=generator, dtype=torch.float64)
    return (centers[component] + noise + 3).to(dtype)


def cases() -> dict[str, tuple[Tensor, dict[str, Any]]]:
    """Return data and arguments of :func:`kmeans`; the last chunk of the data is never full."""
    many, few = data(21000, torch.float64), data(9000, torch.float64)
    weights = torch.rand(9000, generator=torch.Generator().manual_seed(2)).double()
    weights[::7] = 0.0
    far = torch.cat([few[:4], torch.full((3, 5), 1e3).double()])
    return {
        "plus-plus": (many, {"n_clusters": 8, "n_init": 3}),
        "float32": (many.float(), {"n_clusters": 40, "n_init": 2}),
        "random": (few, {"n_clusters": 8, "n_init": 3, "init": "random"}),
        "weights": (few, {"n_clusters": 8, "n_init": 2, "sample_weight": weights}),
        "spherical": (few, {"n_clusters": 8, "n_init": 2, "spherical": True}),
        "repair": (few, {"n_clusters": 7, "init": far}),
        "weighted repair": (few, {"n_clusters": 7, "init": far, "sample_weight": weights, "max_iter": 2}),
        "huge": (few * 1e140, {"n_clusters": 8, "n_init": 2}),
        "all rows on one process": (few[:300], {"n_clusters": 8, "n_init": 2}),
    }


def solve(x: Tensor, arguments: dict[str, Any], n_total: int | None = None) -> KMeansResult:
    return kmeans(x, **arguments, n_total=n_total, generator=torch.Generator().manual_seed(3))


def bad_inputs(rank: int, x: Tensor) -> list[dict[str, Any]]:
    """Return inputs that are bad on both processes, or on only one of them."""
    weights = torch.ones(len(x))
    weights[-1] = -1.0 if rank == 1 else 1.0
    return [
        {"x": x[1:]},
        {"x": x * (torch.nan if rank == 1 else 1.0)},
        {"sample_weight": weights},
        {"x": x[1:] if rank == 0 else x},
        {"init": x[:2] * (torch.inf if rank == 0 else 1.0)},
        {"x": x[:, : 5 - rank]},
        {"sample_weight": weights.abs() if rank == 0 else None},
    ]


def solve_all(rank: int) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    results: dict[str, Any] = {}
    for name, (x, arguments) in cases().items():
        rows = owned_rows(len(x))
        if "sample_weight" in arguments:
            arguments["sample_weight"] = arguments["sample_weight"][rows]
        results[name] = tuple(solve(x[rows], arguments, len(x)))
    x = data(9000, torch.float64)
    rows = owned_rows(len(x))
    results["seeds"] = kmeans_plusplus(x[rows], 20, n_init=4, n_total=len(x))
    centroids, counts = x[:3].clone(), torch.ones(3, dtype=torch.float64)
    counted_update_(centroids, counts, x[rows], rows % 3, distributed=True)
    results["counted"] = centroids, counts
    if rank == 0:  # this process clusters all rows by itself
        results["alone"] = tuple(solve(*cases()["weights"]))
    refused = []
    for bad in bad_inputs(rank, x[rows]):
        try:
            kmeans(**{"x": x[rows], "n_clusters": 2, "n_total": len(x), **bad})
        except InputError as error:
            refused.append(str(error))
    results["refused"] = refused
    return results


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_on_two_processes(solve_all, tmp_path_factory.mktemp("kmeans"))


@pytest.mark.parametrize("name", cases())
def test_two_processes_equal_one(two: list[dict[str, Any]], name: str) -> None:
    x, arguments = cases()[name]
    one = solve(x, arguments)
    labels = torch.full((len(x),), -1)
    for rank in range(2):
        centroids, own_labels, inertia, n_iter = two[rank][name]
        tolerance = 1e-12 if x.dtype == torch.float64 else 1e-6
        scale = float(x.abs().max())
        torch.testing.assert_close(centroids / scale, one.centroids / scale, rtol=0, atol=tolerance)
        assert inertia == pytest.approx(one.inertia, rel=tolerance)
        assert n_iter == one.n_iter
        labels[rows_of(rank, len(x))] = own_labels
    assert torch.equal(labels, one.labels)


def rows_of(rank: int, n_samples: int) -> Tensor:
    rows = torch.arange(n_samples)
    return rows[rows // 4096 % 2 == rank]


def test_without_n_total_no_process_waits_for_another(two: list[dict[str, Any]]) -> None:
    """Without ``n_total``, every process may cluster the same samples by itself."""
    one = solve(*cases()["weights"])
    assert torch.equal(two[0]["alone"][0], one.centroids)
    assert torch.equal(two[0]["alone"][1], one.labels)


def test_seeds_are_the_same(two: list[dict[str, Any]]) -> None:
    one = kmeans_plusplus(data(9000, torch.float64), 20, n_init=4)
    for rank in range(2):
        torch.testing.assert_close(two[rank]["seeds"], one, rtol=0, atol=1e-12)


def test_counted_updates_are_the_same(two: list[dict[str, Any]]) -> None:
    x = data(9000, torch.float64)
    centroids, counts = x[:3].clone(), torch.ones(3, dtype=torch.float64)
    counted_update_(centroids, counts, x, torch.arange(9000) % 3)
    for rank in range(2):
        torch.testing.assert_close(two[rank]["counted"][0], centroids, rtol=0, atol=1e-12)
        torch.testing.assert_close(two[rank]["counted"][1], counts)


ELSEWHERE = "another process has bad input"
REFUSED = {
    "rows": ("this process owns those of owned_rows(9000)",) * 2,
    "NaN on rank 1": (ELSEWHERE, "NaN or infinite"),
    "weight on rank 1": (ELSEWHERE, "sample_weight holds negative"),
    "rows on rank 0": ("this process owns those of owned_rows(9000)", ELSEWHERE),
    "init on rank 0": ("init of k-means holds NaN or infinite", ELSEWHERE),
    "features differ": ("differ in its number of features",) * 2,
    "weights on rank 0 only": ("differ in its number of features",) * 2,
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_process_waits_for_one_that_has_given_up(two: list[dict[str, Any]], case: str) -> None:
    number = list(REFUSED).index(case)
    for rank in range(2):
        assert REFUSED[case][rank] in two[rank]["refused"][number]
