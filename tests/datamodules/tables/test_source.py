"""Tests of data frames in place of files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from datamodules import TableDataModule
from lightning_dc import AEKMeans, Identity, PhaseConfig
from lightning_dc.errors import InputError
from tests.helpers.fake_files import table_rows, write_table

FRAME = pd.DataFrame(table_rows())
ROLES: dict[str, Any] = {"columns": ["gene_*", "age", "colour"], "categorical": "colour", "id_column": "patient"}
ALL = 1 << 30


class Stream:
    """Table of a library that only offers itself as a stream of Arrow, with the views of texts that polars has."""

    def __init__(self, table: pa.Table) -> None:
        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        for name in texts:
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table[name].cast(pa.string_view()))
        self.table = table
        self.shape = table.shape

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


def arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def module(source: Any, **arguments: Any) -> TableDataModule:
    data = TableDataModule(source, **arguments)
    data.setup("fit")
    return data


@pytest.mark.parametrize("make", [lambda frame: frame, arrow, lambda frame: Stream(arrow(frame))])
@pytest.mark.parametrize("guess_roles", [False, True])
def test_a_frame_gives_what_its_file_gives(tmp_path: Path, make: Any, guess_roles: bool) -> None:
    path = write_table(tmp_path / "t.csv", table_rows())
    arguments: dict[str, Any] = {"guess_roles": True, "label": "species"} if guess_roles else ROLES
    expected, data = module(str(path), **arguments), module(make(FRAME), **arguments)
    assert list(data.feature_names) == list(expected.feature_names)
    first, second = data.train_dataloader(), expected.train_dataloader()
    torch.testing.assert_close(first.read(0, ALL).x, second.read(0, ALL).x)
    assert first.ids is not None
    assert second.ids is not None
    assert first.ids.tolist() == second.ids.tolist() == FRAME["patient"].tolist()


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(table_rows())
    data = module(frame.with_columns(polars.col("colour").cast(polars.Categorical)), guess_roles=True)
    expected = module(FRAME, guess_roles=True)
    assert list(data.feature_names) == list(expected.feature_names)
    assert torch.equal(data.train_dataloader().read(0, ALL).x, expected.train_dataloader().read(0, ALL).x)


def test_the_index_of_a_frame_names_its_rows() -> None:
    frame = FRAME[["gene_a", "age"]].set_axis([f"row {i}" for i in range(len(FRAME))])
    data = module(frame)
    assert data.feature_names == ["gene_a", "age"]
    ids = data.train_dataloader().ids
    assert ids is not None
    assert ids.tolist() == list(frame.index)


def test_lists_are_as_many_inputs() -> None:
    frame = pd.DataFrame({"embedding": [[float(i), float(-i)] for i in range(30)], "v": np.arange(30) % 7})
    data = module(frame, guess_roles=True)
    assert list(data.feature_names) == ["embedding[0]", "embedding[1]", "v"]


def test_a_frame_may_be_the_test_set_and_new_samples() -> None:
    data = module(FRAME, test_path=FRAME[:7], **ROLES)
    assert data.test_dataloader().n_samples == 7
    data.train_dataloader()
    new = TableDataModule(FRAME[:5])
    new.load_preprocessing_state(data.preprocessing_state())
    torch.testing.assert_close(new.predict_dataloader().read(0, ALL).x, data.train_dataloader().read(0, 5).x)


def test_a_model_that_was_fitted_on_a_frame_is_applied_to_another_one(tmp_path: Path) -> None:
    data = TableDataModule(FRAME, guess_roles=True, scaling="columns")
    model = AEKMeans(data.input_shape, n_clusters=3, autoencoder=Identity, pretraining=PhaseConfig(max_epochs=0))
    trainer = pl.Trainer(max_epochs=-1, accelerator="cpu", logger=False, default_root_dir=tmp_path)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert model.final is not None
    group = np.arange(len(FRAME)) % 3
    assert adjusted_rand_score(group, model.final.labels) == 1
    restored = AEKMeans.load_from_checkpoint(tmp_path / "last.ckpt")
    batches = trainer.predict(restored, TableDataModule(FRAME[::-1].reset_index(drop=True)))
    assert batches is not None
    labels = torch.cat([batch["q"].argmax(1) for batch in batches])  # type: ignore[call-overload]
    assert labels.tolist() == model.final.labels.tolist()[::-1]


def test_it_pickles_and_describes_itself() -> None:
    data = TableDataModule(FRAME, **ROLES)
    assert "the data frame" in repr(data)
    copy = pickle.loads(pickle.dumps(data))
    copy.setup("fit")
    assert copy.input_shape == (6,)
    assert data.source_files == {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]),
            "the data frame: has more than one column named 'a'; rename",
        ),
        (pa.table([[1], [2]], names=["a", "a"]), "the data frame: has more than one column named 'a'; rename one"),
        (pd.DataFrame({"a": [1, "x"], "b": [1, 2]}), "the data frame: can't be read .* give each column values of one"),
        (FRAME[:0], "the data frame: has no rows; give a table with samples"),
        (np.zeros((3, 2)), "path is ndarray; give a path, a pandas or polars DataFrame, or a pyarrow Table"),
        (FRAME["age"], "path is Series; give a path"),
        ([{"a": 1}], "path is list; give a path"),
        (None, "path is NoneType; give a path"),
        (FRAME, "the data frame: column 'patient' holds 'p0000' in row 0, not numbers"),
    ],
)
def test_other_objects_are_refused_in_one_line(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        module(source)
    assert "\n" not in str(error.value)
