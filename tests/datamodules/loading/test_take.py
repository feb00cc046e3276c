"""Tests of reading samples by their row numbers from every form of storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor

from datamodules import ClusteringDataModule, FileRows, Samples
from datamodules.loading.loader import BatchLoader
from datamodules.loading.scaling import Scaling, ScalingName
from datamodules.loading.tensor_rows import TensorRows
from lightning_dc.batch import Batch, TargetSpec
from lightning_dc.errors import InputError

N_SAMPLES = 60
X = np.random.default_rng(0).normal(size=(N_SAMPLES, 3, 2))
Y = np.arange(N_SAMPLES) % 4 - 1
TARGETS = np.random.default_rng(1).normal(size=(N_SAMPLES, 2))
IDS = [f"sample {row}" for row in range(N_SAMPLES)]
INDICES = {
    "ascending": [3, 4, 9],
    "descending": [9, 8, 3, 0],
    "repeated": [5, 5, 0, 5, 0],
    "single": [7],
    "empty": [],
}


class Stored(ClusteringDataModule):
    """DataModule of samples, labels and targets that a test gives."""

    def __init__(self, x: Any, **arguments: Any) -> None:
        super().__init__(batch_size=8, **arguments)
        self.x = x

    @property
    def target_spec(self) -> TargetSpec:
        return TargetSpec("value", ("a", "b"))

    def load(self) -> Samples:
        return Samples(self.x, Y, TARGETS, IDS)


def mapped(folder: Path, x: np.ndarray) -> np.ndarray:
    np.save(folder / "mapped.npy", x)
    return np.load(folder / "mapped.npy", mmap_mode="c")


def in_file(folder: Path, x: np.ndarray) -> FileRows:
    np.save(folder / "x.npy", x)
    return FileRows.of_npy(folder / "x.npy")


STORAGE: dict[str, Callable[[Path], Any]] = {
    "float32": lambda folder: X.astype("f4"),
    "float64": lambda folder: X,
    "bytes": lambda folder: (np.abs(X) * 50).astype("u1"),
    "integers": lambda folder: (X * 1e8).astype("i4"),
    "fortran": lambda folder: np.asfortranarray(X.astype("f4")),
    "mapped": lambda folder: mapped(folder, X.astype("f4")),
    "sparse": lambda folder: scipy.sparse.csr_matrix((X * (X > 0)).reshape(N_SAMPLES, -1).astype("f4")),
    "sparse float64": lambda folder: scipy.sparse.csr_array((X * (X > 0)).reshape(N_SAMPLES, -1)),
    "sparse bytes": lambda folder: scipy.sparse.csr_array((X > 0).reshape(N_SAMPLES, -1).astype("u1")),
    "file": lambda folder: in_file(folder, X.astype("f4")),
    "file of big-endian float64": lambda folder: in_file(folder, X.astype(">f8")),
}

CASES = [
    (storage, scaling)
    for storage in STORAGE
    for scaling in ("rms", "standard", "unit", "none")
    if not ("sparse" in storage and scaling == "standard")  # which is refused
]


def assert_same_bits(ours: Tensor, expected: Tensor) -> None:
    assert ours.dtype == expected.dtype
    assert ours.shape == expected.shape
    assert ours.numpy().tobytes() == expected.numpy().tobytes()


def assert_taken(batch: Batch, whole: Batch, index: Tensor) -> None:
    assert torch.equal(batch.index, index)
    assert batch.index.dtype == torch.int64
    assert batch.size == len(index)
    for ours, expected in ((batch.x, whole.x), (batch.y, whole.y), (batch.targets, whole.targets)):
        assert ours is not None
        assert expected is not None
        assert_same_bits(ours, expected[index])


@pytest.mark.parametrize("val_fraction", [0.0, 0.3])
@pytest.mark.parametrize(("storage", "scaling"), CASES)
def test_samples_by_index_have_the_bits_of_those_that_are_read(
    tmp_path: Path, storage: str, scaling: ScalingName, val_fraction: float
) -> None:
    data = Stored(STORAGE[storage](tmp_path), scaling=scaling, val_fraction=val_fraction)
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader(), data.predict_dataloader()):
        assert isinstance(loader, BatchLoader)
        whole = loader.read(0, N_SAMPLES)
        for index in map(torch.tensor, INDICES.values()):
            assert_taken(loader.take(index.long()), whole, index.long())
        everything = torch.arange(loader.n_samples)
        assert_taken(loader.take(everything), whole, everything)


@pytest.mark.parametrize("storage", ["float32", "sparse", "file"])
@pytest.mark.parametrize("place", [-1, -100, 42, 60, 1 << 40])
def test_an_index_out_of_range_is_refused(tmp_path: Path, storage: str, place: int) -> None:
    data = Stored(STORAGE[storage](tmp_path), val_fraction=0.3)
    data.setup("fit")
    loader = data.train_dataloader()
    assert loader.n_samples == 42
    message = rf"index {place} is out of range: the data set has N = 42 samples; give indices from 0 to 41"
    with pytest.raises(InputError, match=message):
        loader.take(torch.tensor([3, place, 999]))


@pytest.mark.parametrize(
    ("index", "form"),
    [
        (torch.tensor([0.0, 1.0]), r"torch\.float32 of shape \(2,\)"),
        (torch.tensor([True, False]), r"torch\.bool of shape \(2,\)"),
        (torch.tensor(3), r"torch\.int64 of shape \(\)"),
        (torch.tensor([[1, 2]]), r"torch\.int64 of shape \(1, 2\)"),
    ],
)
def test_an_index_must_hold_integers_in_one_dimension(index: Tensor, form: str) -> None:
    loader = Stored(X).train_dataloader()
    with pytest.raises(InputError, match=rf"index must hold integers, \(n,\), got {form}"):
        loader.take(index)


def test_an_index_of_other_integers_becomes_int64() -> None:
    loader = Stored(X).train_dataloader()
    assert_taken(loader.take(torch.tensor([3, 1], dtype=torch.int32)), loader.read(0, N_SAMPLES), torch.tensor([3, 1]))


def test_taking_leaves_samples_order_and_position_alone() -> None:
    data = Stored(X.astype("f4"))
    loader, reference = data.train_dataloader(), data.train_dataloader()
    expected = [batch.index.tolist() for batch in reference]
    found = []
    for batch in loader:
        loader.take(torch.tensor([0, 5])).x.zero_()
        found.append(batch.index.tolist())
    assert found == expected
    assert loader.state_dict() == reference.state_dict()
    assert bool((loader.read(0, 1).x != 0).all())


def test_without_labels_and_targets_there_are_none() -> None:
    scaling = Scaling(torch.zeros(()), torch.ones(()))
    loader = BatchLoader(TensorRows(torch.rand(4, 2)), None, scaling=scaling, batch_size=2, shuffle=False)
    batch = loader.take(torch.tensor([3, 3]))
    assert batch.y is None
    assert batch.targets is None


def test_samples_on_another_device_are_taken_by_an_index_in_main_memory() -> None:
    scaling = Scaling(torch.zeros(()), torch.ones(()))
    y = torch.zeros(4, dtype=torch.int64, device="meta")
    x = TensorRows(torch.empty(4, 2, device="meta"))
    batch = BatchLoader(x, y, scaling=scaling, batch_size=2, shuffle=False).take(torch.tensor([2, 0]))
    assert [part.device.type for part in (batch.x, batch.y, batch.index) if part is not None] == ["meta"] * 3
    assert tuple(batch.x.shape) == (2, 2)
