"""Tests of the base class of DataModules: checks, splits, scaling, state."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from sklearn.preprocessing import StandardScaler

import datamodules
from datamodules import Samples
from datamodules.loading.loader import BatchLoader
from lightning_dc.errors import InputError
from tests.helpers.methods import Blobs, dec, trainer
from tests.helpers.samples import N_SAMPLES, Given, everything, features, given


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"scaling": "minmax"}, "scaling='minmax' is unknown; choose from rms, standard, unit, none"),
        ({"val_fraction": -0.1}, "val_fraction=-0.1"),
        ({"val_fraction": 1.0}, "val_fraction=1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Given(None, **arguments)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 3)), r"x of Given\.load\(\) has shape \(0, 3\)"),
        (torch.zeros(0, 3), r"has shape \(0, 3\)"),
        (np.zeros(5), r"has shape \(5,\); give \(samples, features\)"),
        (np.float64(3.0), r"has shape \(\)"),
        (np.array([["a"], ["b"]]), r"x of Given\.load\(\) has dtype <U1; give numbers"),
        (np.array([[None], [2]], dtype=object), "has dtype object; give numbers"),
        (np.zeros((4, 2), dtype=complex), "has dtype complex128; give numbers"),
        (torch.zeros(4, 2, dtype=torch.complex64), r"has dtype torch\.complex64; give numbers"),
        (np.zeros((4, 2), dtype="datetime64[s]"), r"has dtype datetime64\[s\]; give numbers"),
    ],
)
def test_bad_samples_are_refused(x: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(x)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(19, int), r"y of Given\.load\(\) has shape \(19,\), but x has 20 samples; give one label each"),
        (np.zeros((20, 1), int), r"has shape \(20, 1\)"),
        (np.full(20, 0.5), r"y of Given\.load\(\) holds torch\.float64 values that are no integers"),
        (np.full(20, np.nan), "no integers"),
        (np.array(["a"] * 20), "y of .* has dtype <U1; give numbers"),
        (np.full(20, -2), "holds -2; number the classes from 0, with -1 for unknown"),
    ],
)
def test_bad_labels_are_refused(y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(y=y)


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        (datamodules.AnnDataModule, {"path": "cells.h5ad"}),
        (datamodules.ArrayDataModule, {"x": "x.npy", "y": "y.npy"}),
        (datamodules.ImageFolderDataModule, {"path": "images"}),
        (datamodules.MNISTDataModule, {"folder": "digits"}),
        (datamodules.ParquetDataModule, {"path": "cells.parquet"}),
        (datamodules.ReutersDataModule, {"folder": "news"}),
        (functools.partial(datamodules.ReutersDataModule, corpus="rcv1"), {"folder": "news"}),
        (datamodules.TableDataModule, {"path": "table.csv"}),
        (datamodules.TextDataModule, {"path": "texts"}),
    ],
)
def test_messages_about_samples_name_their_files(
    kind: Any, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = kind(**files)
    monkeypatch.setattr(data, "load", lambda: Samples(np.full((3, 2), np.nan)))
    monkeypatch.setattr(type(data), "target_spec", None)  # which a table would learn
    named = ", ".join(f"{argument}='{file}'" for argument, file in files.items())
    with pytest.raises(InputError, match=re.escape(f"x of {type(data).__name__}({named}) holds NaN")):
        data.setup("fit")


def test_a_datamodule_may_have_a_source_of_its_own() -> None:
    class Sourced(Given):
        def __init__(self) -> None:
            self.source = "a database"
            super().__init__(Samples(features()))

    data = Sourced()
    data.setup("fit")
    assert data.source == "a database"


def test_something_else_than_samples_is_refused() -> None:
    with pytest.raises(InputError, match=r"Given\.load\(\) returned ndarray; return datamodules\.Samples"):
        Given(features()).setup("fit")
    with pytest.raises(InputError, match=r"Given\.load_test\(\) returned tuple"):
        Given(Samples(features()), (features(), None)).setup("fit")


def test_bad_test_samples_are_refused() -> None:
    with pytest.raises(InputError, match=r"y of Given\.load_test\(\) has shape \(3,\)"):
        given(test=Samples(features(), np.zeros(3, int)))
    with pytest.raises(
        InputError, match=r"Given\.load_test\(\) returned samples of shape \(2,\), but load\(\) .* \(3,\)"
    ):
        given(test=Samples(features()[:, :2]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    x = features()
    x[13, 1] = value
    with pytest.raises(InputError, match="first in row 13"):
        given(x).train_dataloader()


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2", "u1", "u2", "u4", "?", ">f4", ">i4", ">u2"])
def test_numbers_of_any_kind_are_taken(dtype: str) -> None:
    x = np.round(features()).clip(0).astype(dtype)
    batch = given(x, scaling="none").train_dataloader().read(0, 100)
    assert batch.x.dtype == torch.float32
    np.testing.assert_array_equal(batch.x.numpy(), x.astype("f4"))


@pytest.mark.parametrize("form", ["list", "tensor", "tensor with gradient", "reversed", "fortran", "read-only"])
def test_samples_of_any_form_are_taken(form: str) -> None:
    x = features()
    read_only = x.copy()
    read_only.flags.writeable = False
    forms = {
        "list": x.tolist(),
        "tensor": torch.from_numpy(x),
        "tensor with gradient": torch.from_numpy(x).requires_grad_(),
        "reversed": x[::-1].copy()[::-1],
        "fortran": np.asfortranarray(x),
        "read-only": read_only,
    }
    np.testing.assert_array_equal(everything(given(forms[form], scaling="none").train_dataloader()), x.astype("f4"))


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float64, bool, ">i4"])
def test_labels_become_int64(dtype: Any) -> None:
    y = (np.arange(N_SAMPLES) % 2).astype(dtype)
    batch = given(y=y).train_dataloader().read(0, 100)
    assert batch.y.dtype == torch.int64
    np.testing.assert_array_equal(batch.y, y.astype(int))


def test_unknown_labels_are_kept() -> None:
    y = np.arange(N_SAMPLES) % 4 - 1
    np.testing.assert_array_equal(given(y=y).train_dataloader().read(0, 100).y, y)


def test_input_shape_is_that_of_a_sample_and_loads_once() -> None:
    data = Given(Samples(np.random.default_rng(0).normal(size=(5, 1, 2, 3))))
    assert data.input_shape == (1, 2, 3)
    data.setup("fit")
    data.setup("predict")
    data.train_dataloader()
    assert data.n_loads == 1


def rows(loader: BatchLoader) -> list[int]:
    """Return the row numbers in the source, which are the first feature."""
    return everything(loader)[:, 0].astype(int).tolist()


@pytest.mark.parametrize(("val_fraction", "n_held_out"), [(0.25, 5), (0.01, 1), (0.9, 18)])
def test_a_split_is_disjoint_and_whole(val_fraction: float, n_held_out: int) -> None:
    data = given(scaling="none", val_fraction=val_fraction)
    train, held_out = data.train_dataloader(), data.val_dataloader()
    assert len(rows(held_out)) == n_held_out
    assert sorted(rows(train) + rows(held_out)) == list(range(N_SAMPLES))
    assert rows(train) == train.source_rows.tolist()
    assert rows(held_out) == held_out.source_rows.tolist()


def test_a_split_depends_on_the_seed_alone() -> None:
    splits = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        data = given(scaling="none", val_fraction=0.5)
        torch.rand(3)
        splits.append(rows(data.val_dataloader()))
    assert splits[0] == splits[1] != splits[2]


def test_labels_are_split_with_their_samples() -> None:
    data = given(y=np.arange(N_SAMPLES) * 3, scaling="none", val_fraction=0.3)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert loader.read(0, 100).y.tolist() == [3 * row for row in rows(loader)]


@pytest.mark.parametrize(("n_samples", "val_fraction"), [(1, 0.1), (3, 0.9)])
def test_a_split_that_leaves_nothing_to_train_on_is_refused(n_samples: int, val_fraction: float) -> None:
    with pytest.raises(InputError, match=f"val_fraction={val_fraction} leaves none of {n_samples} samples"):
        given(features(n_samples), val_fraction=val_fraction).train_dataloader()


def test_loaders_are_over_the_sets_that_there_are() -> None:
    alone = given(scaling="none")
    for loader in (alone.train_dataloader(), alone.val_dataloader(), alone.test_dataloader()):
        assert rows(loader) == list(range(N_SAMPLES))
    with_test = given(test=Samples(features(5, offset=50.0)), scaling="none")
    test_rows = [50, 51, 52, 53, 54]
    assert rows(with_test.train_dataloader()) == list(range(N_SAMPLES))
    assert rows(with_test.val_dataloader()) == test_rows
    assert rows(with_test.test_dataloader()) == test_rows
    assert rows(with_test.predict_dataloader()) == [*range(N_SAMPLES), *test_rows]
    split = given(test=Samples(features(5, offset=50.0)), scaling="none", val_fraction=0.25)
    assert len(rows(split.val_dataloader())) == 5
    assert set(rows(split.val_dataloader())) < set(range(N_SAMPLES))
    assert rows(split.test_dataloader()) == test_rows
    assert rows(split.predict_dataloader()) == [*range(N_SAMPLES), *test_rows]


def test_only_training_is_shuffled() -> None:
    data = given(batch_size=4)
    assert data.train_dataloader().shuffle
    assert data.train_dataloader().batch_size == 4
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert not loader.shuffle
        assert len(list(loader)) == 1


def test_predictions_are_labelled_only_where_both_sets_are() -> None:
    y, test_y = np.arange(N_SAMPLES), np.arange(5)
    both = given(y=y, test=Samples(features(5), test_y))
    assert both.predict_dataloader().read(0, 100).y.tolist() == [*y.tolist(), *test_y.tolist()]
    assert given(y=y, test=Samples(features(5))).predict_dataloader().read(0, 100).y is None


@pytest.mark.parametrize("val_fraction", [0.0, 0.5])
def test_scaling_is_learned_on_the_training_rows(val_fraction: float) -> None:
    data = given(test=Samples(features(5, offset=100.0)), scaling="standard", val_fraction=val_fraction)
    predict = everything(data.predict_dataloader())  # asked for first, so that order does not matter
    train_rows = data.train_dataloader().source_rows.numpy()
    scaler = StandardScaler().fit(features()[train_rows])
    np.testing.assert_allclose(everything(data.train_dataloader()), scaler.transform(features()[train_rows]), atol=1e-5)
    whole = np.concatenate([features(), features(5, offset=100.0)])
    np.testing.assert_allclose(predict, scaler.transform(whole), atol=1e-4)


@pytest.mark.parametrize("scaling", ["rms", "none"])
def test_other_data_are_scaled_as_the_training_data_of_the_checkpoint(scaling: str) -> None:
    trained = given(scaling=scaling)
    trained.train_dataloader()
    other = given(features() * 7 + 3, scaling="standard")
    other.load_preprocessing_state(trained.preprocessing_state())
    factor = np.mean(features() ** 2) ** -0.5 if scaling == "rms" else 1.0
    np.testing.assert_allclose(everything(other.predict_dataloader()), (features() * 7 + 3) * factor, rtol=1e-5)


def test_state_before_any_loader_is_the_seed_alone() -> None:
    data = given()
    assert data.state_dict() == {"seed": data.seed}
    other = given()
    other.seed += 1
    other.load_state_dict(data.state_dict())
    np.testing.assert_array_equal(everything(other.train_dataloader()), everything(data.train_dataloader()))


def test_state_survives_a_safe_checkpoint(tmp_path: Any) -> None:
    data = given(scaling="standard")
    data.train_dataloader()
    torch.save(data.preprocessing_state(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = given(features() * 5, scaling="standard")
    other.load_preprocessing_state(state)
    expected = StandardScaler().fit(features()).transform(features() * 5)
    np.testing.assert_allclose(everything(other.train_dataloader()), expected, atol=1e-4)


def test_the_scaling_of_other_features_is_refused() -> None:
    data = given(scaling="standard")
    data.train_dataloader()
    with pytest.raises(InputError, match="give samples of the same features"):
        given(features()[:, :-1]).load_preprocessing_state(data.preprocessing_state())


@pytest.mark.parametrize("ids", [np.arange(100, 120), [f"sample {i}" for i in range(20)]])
def test_ids_follow_their_samples(ids: Any) -> None:
    data = Given(Samples(features(), ids=ids), val_fraction=0.25)
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader(), data.predict_dataloader()):
        assert isinstance(loader, BatchLoader)
        assert loader.ids is not None
        assert loader.ids.tolist() == [list(ids)[row] for row in loader.source_rows.tolist()]
    other = Samples(features(2), ids=ids[:2])
    with_test = Given(Samples(features(), ids=ids), other).predict_dataloader()
    assert with_test.ids is not None
    assert with_test.ids.tolist() == [*ids, *ids[:2]]  # a set at a time
    assert Given(Samples(features(), ids=ids), Samples(features(2))).predict_dataloader().ids is None


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([*range(19), 3], r"ids of Given\.load\(\) hold 3 twice, in rows 3 and 19; make them unique"),
        (["a", *"bcdefghijklmnopqrs", "c"], "hold 'c' twice, in rows 2 and 19"),
        (range(3), r"ids of Given\.load\(\) have shape \(3,\) and dtype int64; give one integer or string a sample"),
        (np.arange(20) / 2, "have shape .* and dtype float64"),
        ([None] * 20, "dtype object"),
    ],
)
def test_bad_ids_are_refused(ids: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Given(Samples(features(), ids=ids)).setup("fit")


class Labels(Callback):
    """Callback that notes whether training and validation batches have labels."""

    def __init__(self) -> None:
        self.seen: dict[str, set[bool]] = {"train": set(), "validation": set()}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.seen["train"].add(batch.y is not None)

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.seen["validation"].add(batch.y is not None)


def test_labels_are_moved_for_evaluation_alone(tmp_path: Path) -> None:
    labels, data = Labels(), Blobs()
    data.val_fraction = 0.2
    model = dec()
    trainer(tmp_path, labels).fit(model, data)
    assert labels.seen == {"train": {False}, "validation": {True}}
    assert model.final is not None
    assert model.final.scores()["acc"] > 0.3
