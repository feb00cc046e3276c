"""Contract of a DataModule, as a class of tests for ``pytest``."""

from __future__ import annotations

import io
import pickle
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.base import ClusteringDataModule
from datamodules.loading.loader import BatchLoader
from lightning_dc.batch import Batch, DataDescription, Preprocessor, SampleLoader
from lightning_dc.errors import InputError

_ALL = 1 << 40  # more samples than there are


class DataModuleContract(ABC):
    """Base class of tests of what every DataModule guarantees; a subclass says how to make the DataModule.

    Example:
        >>> class TestMyData(DataModuleContract):
        ...     def make(self, folder, labels):
        ...         return MyDataModule(folder / "mine.csv", labels=labels)
    """

    @abstractmethod
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        """Return a new DataModule at each call, always of the same data, with at least ten samples.

        Args:
            folder: folder for files; it is empty at first, and the same at each call within a test.
            labels: give the labels, if the data have any.
        """

    def set_up(self, folder: Path, *, labels: bool = True, val_fraction: float = 0.0) -> ClusteringDataModule:
        """Return a new DataModule that is ready for training."""
        data = self.make(folder, labels)
        data.val_fraction = val_fraction
        data.prepare_data()
        data.setup("fit")
        return data

    def test_shapes_and_types(self, tmp_path: Path) -> None:
        """Check that batches are floats of the declared shape, with integer labels, and have the declared targets."""
        data = self.set_up(tmp_path)
        for loader in (data.train_dataloader(), data.predict_dataloader()):
            batch = next(iter(loader))
            assert tuple(batch.x.shape) == (len(batch.index), *data.input_shape)
            assert batch.x.dtype == torch.float32
            assert bool(torch.isfinite(batch.x).all())
            assert batch.index.dtype == torch.int64
            assert batch.y is None or (batch.y.dtype, batch.y.shape) == (torch.int64, batch.index.shape)
            spec = data.target_spec
            assert (batch.targets is None) == (spec is None)
            if batch.targets is not None and spec is not None:
                width = {"class": (), "survival": (2,)}.get(spec.kind, (len(spec.names),))
                assert tuple(batch.targets.shape) == (len(batch.index), *width)
        assert all(getattr(data, name) == value for name, value in vars(DataDescription.of(data)).items())
        n_inputs = data.input_shape[0]
        if data.feature_names is not None:
            assert len(data.feature_names) == len(set(data.feature_names)) == n_inputs
        if data.feature_groups is not None:
            assert sorted(i for group in data.feature_groups for i in group) == list(range(n_inputs))

    def test_an_epoch_holds_every_index_once(self, tmp_path: Path) -> None:
        """Check that indices are unique and complete, in training and in evaluation, and that ids are unique."""
        data = self.set_up(tmp_path)
        for loader in (data.train_dataloader(), data.predict_dataloader()):
            index = torch.cat([batch.index for batch in loader])
            assert sorted(index.tolist()) == list(range(loader.n_samples))
            assert len(set(loader.source_rows.tolist())) == len(loader.source_rows) == loader.n_samples
            assert loader.ids is None or len(set(loader.ids.tolist())) == loader.n_samples

    def test_batches_are_those_that_reading_gives(self, tmp_path: Path) -> None:
        """Check that a sample is the same in a batch and when it is read by its index."""
        loader = self.set_up(tmp_path).train_dataloader()
        whole = loader.read(0, _ALL)
        for batch in loader:
            torch.testing.assert_close(batch.x, whole.x[batch.index], rtol=0, atol=0)
            assert (batch.y is None) == (whole.y is None)
            assert batch.y is None or whole.y is None or torch.equal(batch.y, whole.y[batch.index])

    def test_samples_can_be_taken_by_index(self, tmp_path: Path) -> None:
        """Check that samples by index, in any order and more than once, are those that reading gives."""
        data = self.set_up(tmp_path, val_fraction=0.3)
        for loader in (data.train_dataloader(), data.val_dataloader(), data.predict_dataloader()):
            assert isinstance(loader, SampleLoader)
            whole, last = loader.read(0, _ALL), loader.n_samples - 1
            for index in (torch.arange(last, -1, -1), torch.tensor([1, last, 1, 0]), torch.arange(0)):
                batch = loader.take(index)
                assert torch.equal(batch.index, index)
                _assert_same(_tensors(batch), [part[index] for part in _tensors(whole)])
            for place in (-1, loader.n_samples):
                with pytest.raises(InputError, match=f"index {place} is out of range.*N = {loader.n_samples} "):
                    loader.take(torch.tensor([0, place]))

    def test_order_does_not_depend_on_the_number_of_processes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Check that three processes together have the batches of one, and that evaluation has each sample once."""
        data = self.set_up(tmp_path)
        alone = list(_epoch(data.train_dataloader()))
        shares: list[list[Batch]] = []
        evaluated: list[int] = []
        for rank in range(3):
            monkeypatch.setattr("datamodules.loading.loader.world", lambda rank=rank: (rank, 3))
            shares.append(list(_epoch(data.train_dataloader())))
            evaluated += [i for batch in data.predict_dataloader() for i in batch.index.tolist()]
        for batch, *parts in zip(alone, *shares, strict=True):
            assert all(part.n_global == len(batch.index) for part in parts)
            for rank, part in enumerate(parts):
                assert torch.equal(part.index, batch.index[rank::3])
                assert torch.equal(part.x, batch.x[rank::3])
        assert sorted(evaluated) == list(range(data.predict_dataloader().n_samples))

    def test_labels_are_optional(self, tmp_path: Path) -> None:
        """Check that the inputs are the same without labels; classes that are targets are labels, too."""
        with_labels = self.set_up(tmp_path).train_dataloader().read(0, _ALL)
        data = self.set_up(tmp_path, labels=False)
        without = data.train_dataloader().read(0, _ALL)
        are_targets = data.target_spec is not None and data.target_spec.kind == "class"
        assert (without.y is not None) == are_targets
        assert torch.equal(without.x, with_labels.x)

    def test_setting_up_again_changes_nothing(self, tmp_path: Path) -> None:
        """Check that ``setup`` may be called again, for each stage."""
        data = self.set_up(tmp_path, val_fraction=0.3)
        before = _everything(data)
        for stage in ("fit", "validate", "test", "predict"):
            data.setup(stage)
        _assert_same(before, _everything(data))

    def test_it_pickles(self, tmp_path: Path) -> None:
        """Check that a pickled copy, made before or after the samples were loaded, gives the same samples."""
        fresh = pickle.loads(pickle.dumps(self.make(tmp_path, True)))
        data = self.set_up(tmp_path)
        expected = _everything(data)
        for copy in (fresh, pickle.loads(pickle.dumps(data))):
            copy.setup("fit")
            _assert_same(expected, _everything(copy))

    def test_the_split_is_deterministic(self, tmp_path: Path) -> None:
        """Check that training and held-out samples are the same each time, and that no sample is in both."""
        first, second = (self.set_up(tmp_path, val_fraction=0.3) for _ in range(2))
        _assert_same(_everything(first), _everything(second))
        held_out = first.val_dataloader()
        assert isinstance(held_out, BatchLoader)
        rows = [*first.train_dataloader().source_rows.tolist(), *held_out.source_rows.tolist()]
        assert sorted(rows) == list(range(len(rows)))
        assert held_out.n_samples == max(1, round(0.3 * len(rows)))

    def test_preprocessing_travels(self, tmp_path: Path) -> None:
        """Check that what was learned travels through a checkpoint to another DataModule, loaded or not."""
        learned = self.set_up(tmp_path, val_fraction=0.5)
        assert isinstance(learned, Preprocessor)
        expected = learned.predict_dataloader().read(0, _ALL).x
        stream = io.BytesIO()
        torch.save(learned.preprocessing_state(), stream)
        stream.seek(0)
        state = torch.load(stream, weights_only=True)
        fresh, loaded = self.make(tmp_path, False), self.set_up(tmp_path)
        loaded.predict_dataloader()  # it has learned from its own samples by now
        for other in (fresh, loaded):
            other.prepare_data()
            other.load_preprocessing_state(state)
            other.setup("predict")
            assert other.input_shape == learned.input_shape
            assert torch.equal(other.predict_dataloader().read(0, _ALL).x, expected)


def _epoch(loader: BatchLoader) -> list[Batch]:
    loader.set_epoch(1)
    return list(loader)


def _everything(data: ClusteringDataModule) -> list[Tensor]:
    """Return the tensors of the batches of an epoch, followed by those of the held-out samples."""
    batches = _epoch(data.train_dataloader())
    validation: Any = data.val_dataloader()
    batches += [] if isinstance(validation, list) else list(validation)
    return [part for batch in batches for part in _tensors(batch)]


def _tensors(batch: Batch) -> list[Tensor]:
    return [part for part in batch if isinstance(part, Tensor)]


def _assert_same(first: list[Tensor], second: list[Tensor]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
