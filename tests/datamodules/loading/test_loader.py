"""Tests of the loader: order, shards and resumption."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor

from datamodules.loading.loader import BatchLoader
from datamodules.loading.scaling import Scaling
from datamodules.loading.tensor_rows import TensorRows
from lightning_dc.batch import Batch, SampleLoader

N_SAMPLES = 23


def loader(
    *, shuffle: bool = True, batch_size: int = 5, seed: int = 0, y: bool = True, n_samples: int = N_SAMPLES
) -> BatchLoader:
    """Sample i is (2 i, 2 i + 1), with label 100 + i."""
    return BatchLoader(
        TensorRows(torch.arange(2 * n_samples, dtype=torch.int32).view(n_samples, 2)),
        torch.arange(n_samples) + 100 if y else None,
        scaling=Scaling(torch.zeros(()), torch.tensor(0.5)),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
    )


def indices(batches: Iterable[Batch]) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches]


def flat(batches: Iterable[Batch]) -> list[int]:
    return [i for own in indices(batches) for i in own]


@pytest.fixture
def set_world(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def set_(rank: int, world_size: int) -> None:
        monkeypatch.setattr("datamodules.loading.loader.world", lambda: (rank, world_size))

    return set_


def assert_belongs_together(batch: Batch) -> None:
    expected = torch.stack([batch.index, batch.index + 0.5], 1).float()
    torch.testing.assert_close(batch.x, expected)
    assert torch.equal(batch.y, batch.index + 100)


@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_sample_comes_once_with_its_label(batch_size: int, shuffle: bool) -> None:
    data = loader(shuffle=shuffle, batch_size=batch_size)
    batches = list(data)
    assert sorted(flat(batches)) == list(range(N_SAMPLES))
    assert len(batches) == len(data) == -(-N_SAMPLES // batch_size)
    assert {len(batch.index) for batch in batches[:-1]} <= {batch_size}
    for batch in batches:
        assert_belongs_together(batch)


def test_evaluation_keeps_the_order() -> None:
    assert flat(loader(shuffle=False)) == list(range(N_SAMPLES))


def test_training_batches_know_their_global_size() -> None:
    assert [batch.n_global for batch in loader()] == [5, 5, 5, 5, 3]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    data = loader()
    first, again = indices(data), indices(data)
    assert first == again
    torch.manual_seed(99)
    assert indices(loader()) == first
    data.set_epoch(1)
    second = indices(data)
    assert second != first
    assert indices(loader(seed=1)) not in (first, second)
    data.set_epoch(0)
    assert indices(data) == first


def test_drawing_an_order_leaves_the_global_generator() -> None:
    state = torch.get_rng_state()
    list(loader())
    assert torch.equal(torch.get_rng_state(), state)


def test_lightning_finds_set_epoch_in_training_only() -> None:
    data = loader()
    data.sampler.set_epoch(3)
    other = loader()
    other.set_epoch(3)
    assert indices(data) == indices(other) != indices(loader())
    assert not hasattr(loader(shuffle=False), "sampler")


@pytest.mark.parametrize("n_done", [1, 3, 4])
def test_a_run_goes_on_in_the_middle_of_an_epoch(n_done: int) -> None:
    data = loader(seed=3)
    data.set_epoch(2)
    iterator = iter(data)
    for _ in range(n_done):
        next(iterator)
    state = data.state_dict()

    resumed = loader(seed=77)  # the seed comes from the state
    resumed.load_state_dict(state)
    resumed.set_epoch(2)
    assert indices(resumed) == indices(iterator)
    resumed.set_epoch(3)
    data.set_epoch(3)
    assert indices(resumed) == indices(data)
    assert len(indices(resumed)) == 5


def test_a_run_goes_on_after_the_last_batch_with_the_next_epoch() -> None:
    data = loader()
    iterator = iter(data)
    for _ in range(len(data)):
        next(iterator)
    resumed = loader()
    resumed.load_state_dict(data.state_dict())
    resumed.set_epoch(1)
    data.set_epoch(1)
    assert indices(resumed) == indices(data)


def test_a_position_that_was_loaded_is_saved_again() -> None:
    data = loader(seed=3)
    iterator = iter(data)
    next(iterator), next(iterator)
    resumed = loader()
    resumed.load_state_dict(data.state_dict())
    assert resumed.state_dict() == data.state_dict()


@pytest.mark.parametrize("world_size", [2, 3, 8])
@pytest.mark.parametrize("n_samples", [23, 21])
def test_training_shards_interleave_to_the_global_batch(
    set_world: Callable[[int, int], None], world_size: int, n_samples: int
) -> None:
    whole = list(loader(n_samples=n_samples))
    shards = []
    for rank in range(world_size):
        set_world(rank, world_size)
        data = loader(n_samples=n_samples)
        shards.append(list(data))
        assert len(data) == len(shards[-1]) == len(whole)
    for batch, *parts in zip(whole, *shards, strict=True):
        for rank, part in enumerate(parts):
            assert part.index.tolist() == batch.index.tolist()[rank::world_size]
            assert part.n_global == len(batch.index)
            assert_belongs_together(part)


@pytest.mark.parametrize("world_size", [2, 3, 8])
def test_evaluation_shards_hold_every_sample_once(set_world: Callable[[int, int], None], world_size: int) -> None:
    seen: list[list[int]] = []
    for rank in range(world_size):
        set_world(rank, world_size)
        data = loader(shuffle=False)
        own = indices(data)
        assert len(own) == len(data) == -(-len(indices_of_whole_batches()) // world_size)  # the same on every process
        seen += own
    assert sorted(part for part in seen if part) == indices_of_whole_batches()


def indices_of_whole_batches() -> list[list[int]]:
    return [list(range(start, min(start + 5, N_SAMPLES))) for start in range(0, N_SAMPLES, 5)]


@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2)])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("start", "stop"), [(0, 4), (20, 99), (7, 8), (23, 30)])
def test_read_is_in_index_order_on_any_process(
    set_world: Callable[[int, int], None], rank: int, world_size: int, shuffle: bool, start: int, stop: int
) -> None:
    set_world(rank, world_size)
    batch = loader(shuffle=shuffle).read(start, stop)
    assert batch.index.tolist() == list(range(N_SAMPLES))[start:stop]
    assert_belongs_together(batch)


def test_without_labels_batches_have_none() -> None:
    for shuffle in (True, False):
        assert all(batch.y is None for batch in loader(shuffle=shuffle, y=False))
    assert loader(y=False).read(0, 3).y is None


def test_source_rows_are_the_index_unless_they_are_given() -> None:
    data = loader()
    assert data.source_rows.tolist() == list(range(N_SAMPLES))
    source_rows = torch.tensor([7, 9])
    scaling = Scaling(torch.zeros(()), torch.ones(()))
    other = BatchLoader(
        TensorRows(torch.zeros(2, 1)), None, scaling=scaling, batch_size=1, shuffle=True, source_rows=source_rows
    )
    assert torch.equal(other.source_rows, source_rows)
    assert isinstance(other, SampleLoader)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_are_of_the_dtype_asked_for(dtype: torch.dtype) -> None:
    x: Tensor = torch.tensor([[16_777_217]])  # float32 can't hold it
    scaling = Scaling(torch.zeros(()), torch.ones(()))
    data = BatchLoader(TensorRows(x), None, scaling=scaling, batch_size=1, shuffle=True, dtype=dtype)
    for batch in (next(iter(data)), data.read(0, 1)):
        assert batch.x.dtype == dtype
        assert batch.x.item() == (16_777_217 if dtype == torch.float64 else 16_777_216)
