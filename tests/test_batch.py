"""Tests of batches, of what ``as_batch`` accepts and refuses, and of descriptions of data."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.fabric.utilities import move_data_to_device
from torch.utils.data import DataLoader, Dataset

from lightning_dc.batch import Batch, DataDescription, SampleLoader, TargetSpec, as_batch, checked_index
from lightning_dc.errors import InputError

X, Y, INDEX = torch.zeros(2, 3), torch.tensor([5, -1]), torch.tensor([4, 7])


@pytest.mark.parametrize(
    "form",
    [
        Batch(X, Y, INDEX),
        (X, Y, INDEX),
        [X, Y, INDEX],
        {"x": X, "y": Y, "index": INDEX},
        {"x": X, "y": Y, "index": INDEX, "name": ["a", "b"]},
        MappingProxyType({"x": X, "y": Y, "index": INDEX}),
    ],
    ids=lambda form: type(form).__name__,
)
def test_a_labelled_form_is_accepted(form: object) -> None:
    batch = as_batch(form)
    assert isinstance(batch, Batch)
    assert batch.x is X
    assert torch.equal(batch.y, Y)
    assert torch.equal(batch.index, INDEX)
    assert batch.size == 2


@pytest.mark.parametrize(
    "form",
    [Batch(X, None, INDEX), (X, None, INDEX), [X, None, INDEX], {"x": X, "index": INDEX}],
    ids=lambda form: type(form).__name__,
)
def test_an_unlabelled_form_is_accepted(form: object) -> None:
    batch = as_batch(form)
    assert batch.y is None
    assert torch.equal(batch.index, INDEX)


def test_a_batch_keeps_its_global_size() -> None:
    batch = as_batch(Batch(X, Y, INDEX, n_global=5))
    assert batch.n_global == 5
    assert batch.size == 5


def test_no_sample_of_a_global_batch_is_a_batch_of_that_size() -> None:
    assert as_batch(Batch(X[:0], Y[:0], INDEX[:0], n_global=1)).size == 1


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_and_indices_become_int64(dtype: torch.dtype) -> None:
    batch = as_batch((X, torch.tensor([5, 1], dtype=dtype), INDEX.to(dtype)))
    assert batch.y.dtype == batch.index.dtype == torch.int64
    assert batch.y.tolist() == [5, 1]
    assert batch.index.tolist() == [4, 7]


class Pairs(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"x": torch.full((3,), float(i)), "y": 10 * i, "index": i}


def test_a_users_own_dataloader_is_accepted() -> None:
    batches = [as_batch(batch) for batch in DataLoader(Pairs(), batch_size=2)]
    assert [batch.index.tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    assert [batch.y.tolist() for batch in batches] == [[0, 10], [20, 30], [40]]
    assert not isinstance(DataLoader(Pairs()), SampleLoader)


@pytest.mark.parametrize(
    "form", [X, (X, Y), [X], (X, Y, INDEX, INDEX), {"x": X, "y": Y}, {"index": INDEX}, "abc", None, 3], ids=repr
)
def test_another_form_is_refused_with_what_to_yield(form: object) -> None:
    with pytest.raises(InputError, match=rf"got {type(form).__name__}; yield a lightning_dc\.Batch"):
        as_batch(form)


@pytest.mark.parametrize(
    ("form", "lengths"),
    [
        ((X, Y, INDEX[:1]), r"\(2, 2, 1\)"),
        ((X, Y[:1], INDEX), r"\(2, 1, 2\)"),
        ((X[:1], None, INDEX), r"\(1, None, 2\)"),
        (Batch(X[:1], Y, INDEX), r"\(1, 2, 2\)"),
    ],
)
def test_parts_of_different_lengths_are_refused(form: object, lengths: str) -> None:
    with pytest.raises(InputError, match=f"differ in length {lengths}"):
        as_batch(form)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (([[0.0]], None, torch.tensor([0])), "x of a batch must be a tensor, got list"),
        ((X, Y, [4, 7]), "index of a batch must be a tensor, got list"),
        ((X, [1, 2], INDEX), "y of a batch must be a tensor, got list"),
        ((X, Y, None), "index of a batch must be a tensor, got NoneType"),
        ((X, Y.float(), INDEX), r"y of a batch must hold one integer a sample, got torch\.float32"),
        ((X, Y, INDEX.float()), r"index of a batch must hold one integer a sample, got torch\.float32"),
        ((X, torch.zeros(2, 4, dtype=torch.int64), INDEX), r"y of a batch .* of shape \(2, 4\)"),
        ((X, None, torch.tensor(3)), r"index of a batch .* of shape \(\)"),
    ],
)
def test_parts_that_are_no_integer_tensors_are_refused(form: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_batch(form)


@pytest.mark.parametrize(
    "targets", [torch.tensor([0, -1]), torch.tensor([[0.5], [float("nan")]]), torch.tensor([[3.0, 1.0], [2.0, 0.0]])]
)
def test_targets_are_accepted(targets: torch.Tensor) -> None:
    for form in (Batch(X, None, INDEX, targets=targets), {"x": X, "index": INDEX, "targets": targets}):
        assert as_batch(form).targets is targets
    assert as_batch((X, Y, INDEX)).targets is None


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1, 2], "targets of a batch must be a tensor, got list"),
        (torch.zeros(3, 1), r"targets of a batch of 2 samples have shape \(3, 1\)"),
        (torch.zeros(2, 1, 1), r"have shape \(2, 1, 1\); yield one class, or one row of targets"),
    ],
)
def test_bad_targets_are_refused(targets: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_batch({"x": X, "index": INDEX, "targets": targets})


@pytest.mark.parametrize(
    ("kind", "names", "n_outputs"),
    [("class", "abc", 3), ("multilabel", "ab", 2), ("value", "a", 1), ("survival", ("time", "event"), 1)],
)
def test_a_network_has_an_output_for_each_class_or_column(kind: Any, names: Any, n_outputs: int) -> None:
    assert TargetSpec(kind, names).n_outputs == n_outputs


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("ordinal", "ab", "kind='ordinal' of a target is unknown; choose from class, multilabel, value, survival"),
        ("class", "a", r"names=\['a'\] of a class target must be at least 2"),
        ("value", (), "of a value target must be at least 1"),
        ("survival", ("time",), "must be a time and an event"),
        ("survival", ("time", "event", "age"), "must be a time and an event"),
    ],
)
def test_bad_descriptions_of_targets_are_refused(kind: Any, names: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TargetSpec(kind, names)


class Described:
    """DataModule of a user that describes a part of its data."""

    has_terms = True

    @property
    def feature_names(self) -> list[str]:
        return ["oil", "grain"]


@pytest.mark.parametrize("data", [None, object(), SimpleNamespace(load=None), "text"])
def test_an_object_without_a_description_has_the_defaults(data: object) -> None:
    description = DataDescription.of(data)
    assert description == DataDescription()
    assert description.target_spec is None
    assert description.feature_names is None
    assert description.has_terms is False
    assert description.feature_groups is None
    assert description.documents is None
    assert description.source_batches is None


def test_a_description_takes_the_attributes_that_an_object_has() -> None:
    description = DataDescription.of(Described())
    assert description == DataDescription(feature_names=["oil", "grain"], has_terms=True)
    spec, groups = TargetSpec("value", "a"), [[0, 1]]
    whole = SimpleNamespace(target_spec=spec, feature_names=None, has_terms=False, feature_groups=groups, other=1)
    assert DataDescription.of(whole) == DataDescription(spec, None, False, groups)


def test_a_description_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        DataDescription().has_terms = True  # type: ignore[misc]


def test_an_error_of_a_property_is_not_hidden() -> None:
    class Broken:
        @property
        def target_spec(self) -> TargetSpec:
            raise InputError("table.csv: is no file")

    with pytest.raises(InputError, match="is no file"):
        DataDescription.of(Broken())


@pytest.mark.parametrize("index", [torch.tensor([], dtype=torch.int64), torch.tensor([4, 0, 4])])
def test_indices_within_the_data_set_are_taken(index: torch.Tensor) -> None:
    assert torch.equal(checked_index(index, 5), index)


@pytest.mark.parametrize(("index", "first"), [([0, 5, 9], 5), ([-1], -1), ([2, -7, 8], -7)])
def test_indices_beyond_the_data_set_are_refused(index: list[int], first: int) -> None:
    with pytest.raises(InputError, match=f"index {first} is out of range: the data set has N = 5 samples"):
        checked_index(torch.tensor(index), 5)


def test_lightning_moves_a_batch_by_its_own_method() -> None:
    targets = torch.rand(2)
    batch = move_data_to_device(Batch(X, Y, INDEX, 9, targets), torch.device("meta"))
    assert isinstance(batch, Batch)
    assert {part.device.type for part in (batch.x, batch.y, batch.index, batch.targets)} == {"meta"}
    assert batch.size == 9
    same = Batch(X, None, INDEX)
    assert same.to(torch.device("cpu")).x is X
    assert same.to(torch.device("cpu")).y is None
