"""Columns that number or name the rows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from datamodules import TableDataModule
from datamodules.tables.row_numbers import row_number_columns

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=list("abc"))
SHUFFLED = FRAME.sample(frac=1, random_state=0)


def module(path: Path, **arguments: Any) -> TableDataModule:
    data = TableDataModule(str(path), **{"scaling": "none", **arguments})
    data.setup("fit")
    return data


def write(path: Path, frame: pd.DataFrame, **arguments: Any) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, **arguments)
    else:
        frame.to_parquet(path, **arguments)
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("frame", "ids"),
    [
        (FRAME, None),  # the numbers of the rows as they are
        (SHUFFLED, SHUFFLED.index.tolist()),
        (FRAME[FRAME.a > 0], FRAME[FRAME.a > 0].index.tolist()),
        (FRAME.set_index(pd.Index(np.arange(40) // 2)), None),  # no ids, since two have the same
        (FRAME.set_index(pd.Index([f"r{i}" for i in range(40)])), [f"r{i}" for i in range(40)]),
    ],
)
def test_the_index_of_a_data_frame_is_no_input(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str, frame: pd.DataFrame, ids: list[Any] | None
) -> None:
    with caplog.at_level(logging.INFO):
        data = module(write(tmp_path / f"t.{ending}", frame))
    loader = data.predict_dataloader()
    assert data.feature_names == ["a", "b", "c"]
    np.testing.assert_allclose(loader.read(0, 100).x, frame.to_numpy(), rtol=1e-6)
    assert (None if loader.ids is None else loader.ids.tolist()) == ids
    written = ending == "csv" or frame is not FRAME  # a plain index is no column of a Parquet file
    assert ("number or name the rows and are no inputs" in caplog.text) == written


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_index_of_several_levels_or_with_a_name_is_no_input(tmp_path: Path, ending: str) -> None:
    levels = FRAME.set_index(pd.MultiIndex.from_arrays([np.arange(40) // 20, np.arange(40) % 20]))
    if ending == "csv":
        levels = levels.rename_axis(["", ""])
    assert module(write(tmp_path / f"levels.{ending}", levels)).feature_names == ["a", "b", "c"]
    named = SHUFFLED.rename_axis("patient")
    data = module(write(tmp_path / f"named.{ending}", named), **({"drop": "patient"} if ending == "csv" else {}))
    assert data.feature_names == ["a", "b", "c"]
    if ending == "parquet":
        assert data.predict_dataloader().ids is not None
        assert module(tmp_path / "named.parquet", columns=["a", "b"], label="patient").feature_names == ["a", "b"]


def test_a_file_that_was_saved_again_and_again_has_no_inputs_of_row_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", SHUFFLED)
    for _ in range(2):
        write(path, pd.read_csv(path))
    data = module(path)
    assert data.feature_names == ["a", "b", "c"]
    other = tmp_path / "polars.parquet"  # without what pandas tells of its index
    parquet.write_table(pa.Table.from_pandas(SHUFFLED).replace_schema_metadata(None), other)
    assert module(other).feature_names == ["a", "b", "c"]


def test_a_user_may_name_such_a_column(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", SHUFFLED)
    with pytest.warns(UserWarning, match="'__index_level_0__' has another whole number or text in every row"):
        named = module(path, columns=["a", "__index_level_0__"])
    assert named.feature_names == ["a", "__index_level_0__"]
    assert named.predict_dataloader().ids is None
    assert module(path, columns=["a", "__*"]).feature_names == ["a"]
    loader = module(path, id_column="__index_level_0__").predict_dataloader()
    assert loader.ids is not None
    assert loader.ids.tolist() == SHUFFLED.index.tolist()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_new_files_may_have_or_lack_the_index(tmp_path: Path, ending: str) -> None:
    trained = module(write(tmp_path / f"t.{ending}", SHUFFLED))
    trained.train_dataloader()
    for index in (True, False):
        frame = pd.concat([SHUFFLED, SHUFFLED])  # in which ids come twice
        new = TableDataModule(str(write(tmp_path / f"new.{ending}", frame, index=index)))
        new.load_preprocessing_state(trained.preprocessing_state())
        loader = new.predict_dataloader()
        np.testing.assert_allclose(loader.read(0, 100).x, frame.to_numpy(), rtol=1e-6)
        assert loader.ids is None


def test_a_training_and_a_test_file_that_both_count_have_no_ids(tmp_path: Path) -> None:
    test = write(tmp_path / "test.parquet", SHUFFLED)
    data = module(write(tmp_path / "t.parquet", SHUFFLED), test_path=str(test))
    assert data.predict_dataloader().ids is None
    assert data.predict_dataloader().n_samples == 80


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"index_columns": 3}', b'{"index_columns": [{"kind": "range"}]}'])
def test_damaged_metadata_says_nothing(metadata: bytes) -> None:
    assert row_number_columns(["a", "__index_level_12__"], {b"pandas": metadata}) == ["__index_level_12__"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.arange(40), "'row' counts up with the rows"),
        (np.arange(1, 41), "'row' counts up with the rows"),
        (np.arange(1000.0, 1040.0), "'row' counts up with the rows"),
        (np.random.default_rng(0).permutation(40), "'row' has another whole number or text in every row"),
        (np.random.default_rng(0).permutation(10_000)[:40], "'row' has another whole number or text in every row"),
        ([f"p{i}" for i in range(40)], "'row' has another whole number or text in every row"),
        (np.arange(40) // 2, None),
        (np.random.default_rng(0).normal(size=40), None),
    ],
)
def test_inputs_that_count_up_or_are_unique_are_named(
    tmp_path: Path, ending: str, column: Any, message: str | None, recwarn: pytest.WarningsRecorder
) -> None:
    path = write(tmp_path / f"t.{ending}", FRAME.assign(row=column), index=False)
    categorical = ["row"] if isinstance(column, list) else []
    if message is None:
        module(path, categorical=categorical)
        return
    with pytest.warns(UserWarning, match=f"{message}, as ids do; if they are no measurements, name them in drop, or"):
        module(path, categorical=categorical)
    module(path, drop="row")  # without a warning
