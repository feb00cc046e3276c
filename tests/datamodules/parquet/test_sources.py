"""Folders of Parquet files, and columns of every type of numbers."""

from __future__ import annotations

import decimal
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from datamodules import ParquetDataModule, TableDataModule
from datamodules.base import ClusteringDataModule
from datamodules.parquet.sources import find_sources
from lightning_dc.errors import InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 3)).astype("f4")
MODULES = [ParquetDataModule, TableDataModule]


def write(path: Path, rows: slice = slice(None), **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"a": X[rows, 0], "b": X[rows, 1], **columns}), path, row_group_size=7)
    return path


def module(kind: Any, path: Path, **arguments: Any) -> Any:
    data: ClusteringDataModule = kind(str(path), **{"scaling": "none", **arguments})
    data.prepare_data()
    data.setup("fit")
    return data


def samples(data: ClusteringDataModule) -> np.ndarray:
    return data.predict_dataloader().read(0, 1000).x.numpy()


@pytest.mark.parametrize("name", ["x.pq", "x.PARQUET", "X.Parquet", "x.parq"])
@pytest.mark.parametrize("kind", MODULES)
def test_endings_are_those_of_other_tools(tmp_path: Path, kind: Any, name: str) -> None:
    np.testing.assert_array_equal(samples(module(kind, write(tmp_path / name))), X[:, :2])


def test_files_of_a_folder_come_in_their_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for i in (10, 2, 1, 0):
        write(folder / f"part-{i}.parquet", slice([0, 1, 2, 10].index(i) * 5, [0, 1, 2, 10].index(i) * 5 + 5))
    write(folder / "sub" / "deep.PQ", slice(20, 30))
    for name in ("_metadata.parquet", ".part-0.parquet", "_temporary/x.parquet", ".git/x.parquet", "_SUCCESS", "a.crc"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no parquet")
    np.testing.assert_array_equal(samples(module(ParquetDataModule, folder)), X[:, :2])


def test_folders_are_columns_of_their_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "hive"
    for i, name in enumerate(["kind=b%20c/year=9", "kind=a/year=10", "kind=__HIVE_DEFAULT_PARTITION__/year=9"]):
        write(folder / name / "part-0.parquet", slice(i * 10, i * 10 + 10))
    order = [*range(20, 30), *range(10, 20), *range(10)]
    assert [source.keys for source in find_sources(folder)] == [
        {"kind": None, "year": 9},
        {"kind": "a", "year": 10},
        {"kind": "b c", "year": 9},
    ]
    with caplog.at_level(logging.INFO):
        data = module(ParquetDataModule, folder, label="kind")
    assert "'year' number the rows or name folders, and are no inputs" in caplog.text
    np.testing.assert_array_equal(samples(data), X[order, :2])
    assert data.predict_dataloader().read(0, 100).y.tolist() == [-1] * 10 + [0] * 10 + [1] * 10
    named = module(ParquetDataModule, folder, columns=["year", "b"])
    years = np.repeat([9, 10, 9], 10)
    np.testing.assert_array_equal(samples(named), np.column_stack([X[order, 1], years]))
    assert named.feature_names == ["b", "year"]
    by_year = module(ParquetDataModule, folder, label="year").predict_dataloader().read(0, 100).y
    assert by_year.tolist() == years.tolist()
    with pytest.raises(InputError, match=r"column 'kind' holds .*, not numbers; choose others with columns"):
        module(ParquetDataModule, folder, columns=["kind", "a"])


def test_files_of_one_name_in_other_folders_have_a_cache_of_their_own(tmp_path: Path) -> None:
    for kind in "ab":
        write(tmp_path / "hive" / f"kind={kind}" / "x.parquet")
    data = module(ParquetDataModule, tmp_path / "hive", label="kind", cache=str(tmp_path / "cache"))
    assert data.predict_dataloader().read(0, 100).y.tolist() == [0] * 30 + [1] * 30
    (tmp_path / "hive" / "kind=b").rename(tmp_path / "hive" / "kind=0")
    again = module(ParquetDataModule, tmp_path / "hive", label="kind", cache=str(tmp_path / "cache"))
    assert again.predict_dataloader().read(0, 100).y.tolist() == [0] * 30 + [1] * 30


def test_links_that_lead_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "outside" / "x.parquet")
    folder = write(tmp_path / "many" / "0.parquet").parent
    (folder / "inside.parquet").symlink_to("0.parquet")
    assert samples(module(ParquetDataModule, folder)).shape == (60, 2)
    for name, target in (("link.parquet", "outside/x.parquet"), ("folder", "outside")):
        link = folder / name
        link.symlink_to(tmp_path / target)
        with pytest.raises(InputError, match=rf"{name}: is a symbolic link that leads out of the folder; copy"):
            module(ParquetDataModule, folder)
        link.unlink()


LISTS = {
    "list": pa.array(X.tolist(), pa.list_(pa.float32())),
    "large_list": pa.array(X.tolist(), pa.large_list(pa.float32())),
    "fixed_size_list": pa.array(X.tolist(), pa.list_(pa.float32(), 3)),
    "float64": pa.array(X.astype("f8").tolist(), pa.list_(pa.float64())),
    "integers": pa.array((X * 100).astype("i4").tolist(), pa.list_(pa.int32(), 3)),
    "nested": pa.array([[[a], [b], [c]] for a, b, c in X.tolist()], pa.list_(pa.list_(pa.float32()))),
    "decimals": pa.array([[decimal.Decimal(f"{v:.3f}") for v in row] for row in X], pa.list_(pa.decimal128(9, 3))),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("kind", MODULES)
def test_lists_of_one_length_are_inputs(tmp_path: Path, kind: Any, name: str) -> None:
    path = write(tmp_path / "x.parquet", **{"emb.edding": LISTS[name]})
    expected = np.array(LISTS[name].to_pylist(), dtype="f8").reshape(30, 3)
    data = module(kind, path)
    np.testing.assert_allclose(samples(data), np.hstack([X[:, :2], expected]), rtol=1e-6)
    assert data.feature_names == ["a", "b", "emb.edding[0]", "emb.edding[1]", "emb.edding[2]"]
    assert data.input_shape == (5,)
    alone = module(kind, path, columns="emb.edding")
    np.testing.assert_allclose(samples(alone), expected, rtol=1e-6)
    alone.train_dataloader()
    new = kind(str(write(tmp_path / "new.parquet", **{"emb.edding": LISTS[name]})), **_drop(kind))
    new.load_preprocessing_state(alone.preprocessing_state())
    np.testing.assert_allclose(samples(new), expected, rtol=1e-6)


def _drop(kind: Any) -> dict[str, Any]:
    return {"drop": ["a", "b"]} if kind is TableDataModule else {}


@pytest.mark.parametrize("limit", [("_OPEN_BYTES", 1), ("_NUMBERS", 4)])
def test_lists_are_converted_some_columns_and_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: tuple[str, int]
) -> None:
    monkeypatch.setattr("datamodules.parquet.cache." + limit[0], limit[1])
    path = write(tmp_path / "x.parquet", e=LISTS["list"], f=LISTS["fixed_size_list"])
    np.testing.assert_array_equal(samples(module(ParquetDataModule, path)), np.hstack([X[:, :2], X, X]))


def ragged() -> Any:
    return pa.array([*X[:29].tolist(), [1.0, 2.0]], pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("column", "messages"),
    [
        (ragged(), ["not numbers or lists of one length", "column 'e' holds .* in row 0, not numbers"]),
        (pa.array([["x"]] * 30), ["not numbers or lists of one length", "column 'e' holds .* in row 0, not numbers"]),
        (
            pa.array([*X[:29].tolist(), None], pa.list_(pa.float32(), 3)),
            ["column 'e' has missing values", r"column 'e\[0\]' has no value|'e\[0\]', .* have no value in some rows"],
        ),
        (
            pa.array([*X[:29].tolist(), [1.0, None, 2.0]], pa.list_(pa.float32())),
            ["column 'e' has missing values", r"column 'e\[1\]' has no value in row 29"],
        ),
        (
            pa.array([*X[:29].tolist(), [1.0, np.inf, 2.0]], pa.list_(pa.float32())),
            ["holds NaN or infinite values, first in row 29", "column 'e' holds an infinite value in row 29"],
        ),
        (pa.array([{"u": 1.0}] * 30), ["'e' holds struct<u: double>, not numbers", "column 'e' holds .* in row 0"]),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_lists_that_are_no_inputs_are_named(tmp_path: Path, column: Any, messages: list[str], number: int) -> None:
    path = write(tmp_path / "x.parquet", e=column)
    with pytest.raises(InputError, match=messages[number]):
        module(MODULES[number], path).train_dataloader()


def test_lists_of_another_length_in_a_later_file_are_named(tmp_path: Path) -> None:
    write(tmp_path / "many" / "0.parquet", e=LISTS["list"])
    write(tmp_path / "many" / "1.parquet", e=pa.array(X[:, :2].tolist()))
    with pytest.raises(InputError, match=r"1\.parquet: column 'e' holds lists of 2 numbers, not 3 each; choose others"):
        module(ParquetDataModule, tmp_path / "many")


@pytest.mark.parametrize("kind", MODULES)
def test_decimals_and_dictionaries_are_numbers(tmp_path: Path, kind: Any) -> None:
    numbers = [decimal.Decimal(f"{value:.2f}") for value in X[:, 2]]
    codes = pa.array(np.arange(30) % 4).dictionary_encode()
    path = write(tmp_path / "x.parquet", d=pa.array(numbers, pa.decimal128(9, 2)), e=codes)
    expected = np.column_stack([X[:, :2], np.array(numbers, "f8"), np.arange(30) % 4])
    np.testing.assert_allclose(samples(module(kind, path)), expected, rtol=1e-6)


def test_the_index_of_a_data_frame_is_no_input(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame(X, columns=list("abc")).sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "x.parquet")
    with caplog.at_level(logging.INFO):
        data = module(ParquetDataModule, tmp_path / "x.parquet")
    assert "'__index_level_0__' number the rows or name folders, and are no inputs" in caplog.text
    np.testing.assert_array_equal(samples(data), frame.to_numpy())
    frame.rename_axis("patient").to_parquet(tmp_path / "named.parquet")
    np.testing.assert_array_equal(samples(module(ParquetDataModule, tmp_path / "named.parquet")), frame.to_numpy())
    with pytest.warns(UserWarning, match="'__index_level_0__' has another whole number or text in every row"):
        named = module(ParquetDataModule, tmp_path / "x.parquet", columns=["a", "__index_level_0__"])
    assert named.feature_names == ["a", "__index_level_0__"]


def test_columns_that_count_up_over_all_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for i in range(2):
        rows = slice(15 * i, 15 * i + 15)
        write(folder / f"{i}.parquet", rows, row=np.arange(30)[rows], id=RANDOM.permutation(15) + 15 * i)
    with pytest.warns(UserWarning, match="'row' counts up with the rows and 'id' has another whole number"):
        trained = module(ParquetDataModule, folder)
    trained.train_dataloader()
    new = ParquetDataModule(str(folder))
    new.load_preprocessing_state(trained.preprocessing_state())
    assert samples(new).shape == (30, 4)  # without a warning
