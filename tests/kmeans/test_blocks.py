"""Blocks of rows: a CPU works on what fits into its cache, other devices on as much as fits into memory."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.kmeans import kmeans, kmeans_plusplus
from lightning_dc.kmeans.blocks import rows_at_a_time
from lightning_dc.kmeans.owned_samples import OwnedSamples, prepare
from tests.helpers.points import seeded

MODULES = [import_module(f"lightning_dc.kmeans.{name}") for name in ("owned_samples", "nearest", "lloyd")]


class Operations(TorchDispatchMode):
    """Counts operations, and names those that CUDA has no deterministic kernel for."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the CPU the blocks of another device, without compiled loops."""
    gpu = torch.device("cuda")
    for module in MODULES:
        monkeypatch.setattr(module, "rows_at_a_time", lambda _, columns, on_cpu: rows_at_a_time(gpu, columns, on_cpu))
    monkeypatch.setattr(import_module("lightning_dc.kmeans.native"), "library", None)


def samples_of(n_samples: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(n_samples, 6, generator=seeded()).to(dtype)


def test_rows_at_a_time() -> None:
    assert rows_at_a_time(torch.device("cpu"), 10, 1000) == 100
    assert rows_at_a_time(torch.device("cpu"), 3000, 1000) == 1
    assert rows_at_a_time(torch.device("cuda"), 64, 1000) == 1 << 20
    assert rows_at_a_time(torch.device("cuda"), 0, 1000) == 1 << 26


@pytest.mark.parametrize("n_samples", [1, CHUNK_SIZE - 1, CHUNK_SIZE, 3 * CHUNK_SIZE, 3 * CHUNK_SIZE + 5])
@pytest.mark.parametrize("columns", [1, 5000, 10**9])
def test_blocks_cover_all_rows_once(elsewhere: None, n_samples: int, columns: int) -> None:
    samples = prepare(samples_of(n_samples), None, None, spherical=False)
    rows, numbers = [], []
    for block in samples.blocks(columns):
        rows += range(n_samples)[block.rows]
        numbers += range(samples.n_chunks)[block.numbers]
        assert block.by_chunk(samples.x[block.rows], 0).shape[0] == block.n_chunks
    assert rows == list(range(n_samples))
    assert numbers == list(range(samples.n_chunks))


def test_blocks_of_one_process_of_three_name_its_chunks() -> None:
    x = samples_of(2 * CHUNK_SIZE + 7)
    chunks = [slice(0, CHUNK_SIZE), slice(CHUNK_SIZE, 2 * CHUNK_SIZE), slice(2 * CHUNK_SIZE, len(x))]
    samples = OwnedSamples(
        x, x[:, 0], None, chunks, torch.tensor([1, 4, 7]), 7 * CHUNK_SIZE + 7, False, x[0].double(), 1.0, 1.0
    )
    sums = samples.per_chunk(x.T)
    assert sums.shape == (6, 8)
    for number, rows in zip((1, 4, 7), chunks, strict=True):
        assert torch.equal(sums[:, number], x.T[:, rows].sum(1, dtype=torch.float64))
    assert not sums[:, [0, 2, 3, 5, 6]].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_clusters", [7, 40])
def test_large_blocks_change_no_label(
    request: pytest.FixtureRequest, dtype: torch.dtype, weighted: bool, n_clusters: int
) -> None:
    x = samples_of(5 * CHUNK_SIZE + 100, dtype) + 20
    weights = torch.rand(len(x), generator=seeded(1)) if weighted else None

    def results() -> tuple[Any, torch.Tensor]:
        options: dict[str, Any] = {"n_init": 3, "sample_weight": weights}
        seeds = kmeans_plusplus(x, n_clusters, generator=seeded(2), **options)
        return kmeans(x, n_clusters, generator=seeded(2), max_iter=20, **options), seeds

    expected, seeds = results()
    request.getfixturevalue("elsewhere")
    found, seeds_found = results()
    assert torch.equal(seeds_found, seeds)
    assert torch.equal(found.labels, expected.labels)
    assert found.inertia == pytest.approx(expected.inertia, rel=1e-12)
    torch.testing.assert_close(found.centroids, expected.centroids)


def test_seeding_elsewhere_synchronises_a_few_times_a_seed(elsewhere: None) -> None:
    """Each nonzero and each number for Python waits for a GPU; they must not grow with the number of chunks."""
    counts = []
    for n_chunks in (2, 12):
        with Operations() as operations:
            kmeans_plusplus(samples_of(n_chunks * CHUNK_SIZE), 10, n_init=2)
        counts.append(operations.counts)
    for name in ("nonzero", "_local_scalar_dense", "sum", "addmm", "minimum"):
        assert counts[0][name] == counts[1][name], name
    assert counts[0]["nonzero"] + counts[0]["_local_scalar_dense"] <= 6 * 10


@pytest.mark.parametrize("weighted", [False, True])
def test_nothing_runs_that_cuda_cannot_do_deterministically(elsewhere: None, weighted: bool) -> None:
    """Cumulative sums are left to NumPy, since CUDA has no deterministic kernel for them."""
    x = samples_of(CHUNK_SIZE + 50)
    weights = torch.rand(len(x), generator=seeded(1)) if weighted else None
    with Operations() as operations:
        kmeans(x, 40, n_init=2, sample_weight=weights)
        kmeans(x, 5, n_init=2, init="random", sample_weight=weights)
    assert not {"cumsum", "cumprod", "put_", "histc", "kthvalue", "bincount"} & operations.counts.keys()
