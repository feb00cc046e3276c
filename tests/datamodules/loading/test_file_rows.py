"""Tests of samples in a file against the same samples in memory, and of the block shuffle."""

from __future__ import annotations

import itertools
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import datamodules.array
from datamodules import ArrayDataModule, FileRows, Samples
from datamodules.loading.block_shuffle import BlockShuffle
from lightning_dc.errors import InputError

N_SAMPLES = 103
X = np.random.default_rng(0).normal(size=(N_SAMPLES, 3, 2))
Y = np.arange(N_SAMPLES) % 4


def save(folder: Path, x: np.ndarray = X) -> Path:
    np.save(folder / "x.npy", x)
    return folder / "x.npy"


def from_file(path: Path, **arguments: Any) -> ArrayDataModule:
    torch.manual_seed(0)
    data = ArrayDataModule(str(path), Y, batch_size=10, block_shuffle=True, **arguments)
    data.setup("fit")
    return data


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the loader shuffle blocks of 7 rows in windows of 21."""
    monkeypatch.setattr(BlockShuffle, "of_row_bytes", classmethod(lambda cls, _: cls(7, 3)))


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "f2", "u1", "u2", "u4", "i4", "i8", "?", "g"])
def test_rows_are_those_of_the_array(tmp_path: Path, dtype: str) -> None:
    x = (np.abs(X) * 3).astype(dtype)
    rows = FileRows.of_npy(save(tmp_path, x))
    index = torch.tensor([5, 0, 102, 5, 77])
    assert len(rows) == N_SAMPLES
    assert rows.shape == x.shape
    for ours, expected in ((rows[10:20], x[10:20]), (rows[100:200], x[100:]), (rows[50:40], x[:0])):
        np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(rows[index], x[index.numpy()])
    assert rows[:1].dtype == rows.dtype


@given(st.lists(st.integers(0, N_SAMPLES - 1), min_size=1, unique=True), st.data())
@settings(max_examples=60, deadline=None)
def test_rows_of_a_subset(tmp_path_factory: pytest.TempPathFactory, chosen: list[int], data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "subset.npy"
    if not path.exists():
        np.save(path, X)
    subset = FileRows.of_npy(path).subset(torch.tensor(sorted(chosen)))
    expected = X[sorted(chosen)]
    start, stop = data.draw(st.integers(0, len(chosen))), data.draw(st.integers(0, len(chosen)))
    np.testing.assert_array_equal(subset[start:stop], expected[start:stop])
    index = torch.tensor(data.draw(st.lists(st.integers(0, len(chosen) - 1), min_size=1)))
    np.testing.assert_array_equal(subset[index], expected[index.numpy()])
    np.testing.assert_array_equal(subset.subset(torch.arange(len(chosen))[::2])[:], expected[::2])


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 6), st.integers(0, 5), st.data())
@settings(max_examples=100, deadline=None)
def test_windows_hold_every_row_once_and_can_be_entered_anywhere(
    n_rows: int, block_rows: int, n_together: int, seed: int, data: st.DataObject
) -> None:
    shuffle = BlockShuffle(block_rows, n_together)

    def order(n_done: int) -> list[int]:
        rows = []
        for window, n_over in shuffle.windows(n_rows, seed, n_done):
            of_window = list(itertools.chain(*(range(block.start, block.stop) for block in window.blocks)))
            assert len(of_window) <= block_rows * n_together
            rows += [of_window[place] for place in window.order[n_over:].tolist()]
        return rows

    whole = order(0)
    assert sorted(whole) == list(range(n_rows))
    n_done = data.draw(st.integers(0, n_rows))
    assert order(n_done) == whole[n_done:]


def test_block_shuffle_is_random() -> None:
    """Rows keep their places no more often than by chance, and neighbours are separated."""
    orders = []
    for seed in range(50):
        rows: list[int] = []
        for window, _ in BlockShuffle(10, 5).windows(500, seed):
            of_window = list(itertools.chain(*(range(block.start, block.stop) for block in window.blocks)))
            rows += [of_window[place] for place in window.order.tolist()]
        orders.append(rows)
    places = np.argsort(orders, 1)
    assert np.abs(places.mean(0) - 249.5).max() < 4.5 * 500 / 12**0.5 / 50**0.5
    assert np.mean(np.diff(orders, axis=1) == 1) < 0.05


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("val_fraction", [0.0, 0.3])
@pytest.mark.parametrize("scaling", ["rms", "standard", "unit", "none"])
def test_batches_are_those_of_the_array(tmp_path: Path, scaling: Any, val_fraction: float) -> None:
    data = from_file(save(tmp_path), scaling=scaling, val_fraction=val_fraction)
    torch.manual_seed(0)
    reference = ArrayDataModule(X, Y, batch_size=10, scaling=scaling, val_fraction=val_fraction)
    reference.setup("fit")
    whole = reference.train_dataloader().read(0, N_SAMPLES)
    loader = data.train_dataloader()
    assert isinstance(loader.x, FileRows)
    assert torch.equal(loader.source_rows, reference.train_dataloader().source_rows)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert {len(batch.index) for batch in batches[:-1]} == {10}
    assert sorted(torch.cat([batch.index for batch in batches]).tolist()) == list(range(loader.n_samples))
    for batch in batches:
        torch.testing.assert_close(batch.x, whole.x[batch.index])
        assert torch.equal(batch.y, whole.y[batch.index])
    torch.testing.assert_close(loader.read(0, N_SAMPLES).x, whole.x)
    if val_fraction:
        for ours, theirs in zip(data.val_dataloader(), reference.val_dataloader(), strict=True):
            torch.testing.assert_close(ours.x, theirs.x)
    again = [batch.index.tolist() for batch in loader]
    assert again == [batch.index.tolist() for batch in batches]
    loader.set_epoch(1)
    assert [batch.index.tolist() for batch in loader] != again


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("n_done", range(11))
def test_an_epoch_resumes_in_its_middle(tmp_path: Path, n_done: int) -> None:
    path = save(tmp_path)
    first, second = from_file(path).train_dataloader(), from_file(path).train_dataloader()
    batches = iter(first)
    for _ in range(n_done):
        next(batches)
    second.load_state_dict(first.state_dict())
    for ours, expected in zip(second, batches, strict=True):
        assert torch.equal(ours.index, expected.index)
        assert torch.equal(ours.x, expected.x)


@pytest.mark.usefixtures("_small_blocks")
def test_processes_share_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path)
    alone = list(from_file(path).train_dataloader())
    shares = []
    for rank in range(3):
        monkeypatch.setattr("datamodules.loading.loader.world", lambda rank=rank: (rank, 3))
        shares.append(list(from_file(path).train_dataloader()))
    for batch, *parts in zip(alone, *shares, strict=True):
        for rank, part in enumerate(parts):
            assert part.n_global == len(batch.index)
            assert torch.equal(part.index, batch.index[rank::3])
            assert torch.equal(part.x, batch.x[rank::3])


def test_a_large_file_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path)
    assert not isinstance(ArrayDataModule(str(path)).load().x, FileRows)
    monkeypatch.setattr(datamodules.array, "_LARGE_BYTES", X.nbytes)
    assert isinstance(ArrayDataModule(str(path)).load().x, FileRows)
    assert not isinstance(ArrayDataModule(str(path), block_shuffle=False).load().x, FileRows)
    np.save(path, np.asfortranarray(X))
    assert not isinstance(ArrayDataModule(str(path)).load().x, FileRows)


def test_what_can_not_be_read_in_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"block_shuffle=True needs samples in a \.npy file, but x is in memory"):
        ArrayDataModule(X, block_shuffle=True).load()
    np.save(tmp_path / "f.npy", np.asfortranarray(X))
    np.savez(tmp_path / "x.npz", x=X)
    for name in ("f.npy", "x.npz"):
        with pytest.raises(InputError, match=r"block_shuffle=True needs a \.npy file of numbers in C order"):
            ArrayDataModule(str(tmp_path / name), block_shuffle=True).load()
    with pytest.raises(InputError, match="keep_on_device=True needs dense samples, but these are in a file"):
        from_file(save(tmp_path), keep_on_device=True).train_dataloader()


@pytest.mark.parametrize("in_file", [(True, True), (True, False), (False, True)])
def test_a_training_and_a_test_set_in_files_are_predicted_on(tmp_path: Path, in_file: tuple[bool, bool]) -> None:
    class Split(ArrayDataModule):
        def load(self) -> Samples:
            return Samples(FileRows.of_npy(save(tmp_path)) if in_file[0] else X, Y)

        def load_test(self) -> Samples:
            return Samples(FileRows.of_npy(save(tmp_path)) if in_file[1] else X, Y)

    batch = Split(X, scaling="none").predict_dataloader().read(0, 1000)
    np.testing.assert_array_equal(batch.x, np.concatenate([X, X]).astype("f4"))
    np.testing.assert_array_equal(batch.y, np.concatenate([Y, Y]))


def test_a_file_that_shrinks_is_named(tmp_path: Path) -> None:
    path = save(tmp_path)
    rows = FileRows.of_npy(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"x\.npy: ends at row 100"):
        rows[90:103]
    with pytest.raises(InputError, match=r"x\.npy: holds \d+ bytes, but its header \(103, 3, 2\) needs"):
        FileRows.of_npy(path)


@pytest.mark.parametrize("row", [0, 50, 102])
def test_samples_that_are_not_finite_are_refused_with_their_row(tmp_path: Path, row: int) -> None:
    x = X.copy()
    x[row, 1, 1] = np.nan
    with pytest.raises(InputError, match=f"NaN or infinite values, first in row {row};"):
        from_file(save(tmp_path, x))


def test_an_open_file_may_be_replaced_and_removed(tmp_path: Path) -> None:
    path = save(tmp_path)
    rows = FileRows.of_npy(path)
    other = pickle.loads(pickle.dumps(rows))
    np.save(tmp_path / "new.npy", -X)
    os.utime(tmp_path / "new.npy", ns=(1, 1))
    os.replace(tmp_path / "new.npy", path)
    with pytest.raises(InputError, match=r"x\.npy: has changed since it was opened"):
        pickle.loads(pickle.dumps(rows))
    path.unlink()
    with pytest.raises(InputError, match=r"x\.npy: can't be opened again \(No such file"):
        pickle.loads(pickle.dumps(rows))
    half = rows.subset(torch.arange(0, N_SAMPLES, 2))
    np.testing.assert_array_equal(rows[:], X)
    np.testing.assert_array_equal(other[:], X)
    np.testing.assert_array_equal(half[:], X[::2])


def test_a_file_is_closed_with_its_rows(tmp_path: Path) -> None:
    rows = FileRows.of_npy(save(tmp_path))
    descriptor = rows._descriptor
    os.fstat(descriptor)
    del rows
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
