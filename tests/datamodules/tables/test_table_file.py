"""Tests of files of tables and of their columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from datamodules.tables.columns import check_columns, match_columns
from datamodules.tables.dialect import CsvFormat
from datamodules.tables.file import read_table
from datamodules.tables.values import as_numbers, as_strings
from lightning_dc.errors import InputError


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "delimiter"),
    [
        ("t.csv", "a,b\n1,x\n2,\n", None),
        ("t.csv", "\ufeffa,b\r\n1,x\r\n2,NA\r\n", None),  # as spreadsheets write it
        ("t.csv", 'a;"b"\n1;"x"\n2;""\n', ";"),
        ("t.tsv", "a\tb\n1\tx\n2\tnull\n", None),
    ],
)
def test_text_files_of_any_kind_are_read(tmp_path: Path, name: str, content: str, delimiter: str | None) -> None:
    table = read_table(written(tmp_path / name, content), wanted=CsvFormat(delimiter))
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", None]}


def test_types_are_inferred_from_all_rows(tmp_path: Path) -> None:
    n_rows = 400_000  # more than a block of pyarrow's own choice
    path = written(tmp_path / "t.csv", "a\n" + "1\n" * n_rows + "x\n")
    column = read_table(path)["a"]
    assert column.type == pa.string()
    with pytest.raises(InputError, match=rf"t\.csv: column 'a' holds 'x' in row {n_rows}, not numbers; drop it"):
        as_numbers(column, "a", path, "drop it")


def test_a_field_may_hold_line_breaks(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "t.csv", 'a,b\n"one\ntwo",1\n'))
    assert table["a"].to_pylist() == ["one\ntwo"]


def test_columns_can_be_taken_as_text(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "t.csv", "code,zip,n\n01,007,2\n"), ["code", "z*"])
    assert table.to_pydict() == {"code": ["01"], "zip": ["007"], "n": [2]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", "a\n1\n", r"t\.txt: must end in \.csv, \.tsv or \.parquet"),
        ("t.csv", None, r"t\.csv: is no file; give the path of one"),
        ("t.csv", "", r"t\.csv: can't be read \(Empty CSV file\); get the file again"),
        ("t.csv", "a,b\n", r"t\.csv: has no rows"),
        ("t.csv", "a,b\n1,2\n3\n", r"t\.csv: can't be read \(.*Row #3: Expected 2 columns, got 1: 3\)"),
        ("t.csv", "a,b,a\n1,2,3\n", r"t\.csv: has more than one column named 'a'; rename one"),
        ("t.csv", b"\xff,b\n1,2\n", r"t\.csv: can't be read \(.*can't decode byte 0xff"),
        ("t.parquet", "", r"t\.parquet: can't be read \("),
        ("t.parquet", "PAR1 and nothing else", r"t\.parquet: can't be read \("),
    ],
)
def test_bad_files_are_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    path = tmp_path / name if content is None else written(tmp_path / name, content)
    with pytest.raises(InputError, match=message) as error:
        read_table(path)
    assert "\n" not in str(error.value)


def test_half_a_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": np.arange(1000)}), path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"t\.parquet: can't be read \("):
        read_table(path)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, 3]), [1, np.nan, 3]),
        (pa.array([True, False, None]), [1, 0, np.nan]),
        (pa.array([0.5, float("nan"), None], pa.float32()), [0.5, np.nan, np.nan]),
        (pa.array([None, None]), [np.nan, np.nan]),
        (pa.array([1, 2], pa.decimal128(5, 2)), [1, 2]),
        (pa.array([3, 3, 4]).dictionary_encode(), [3, 3, 4]),
        (pa.chunked_array([[1], [], [2]]), [1, 2]),
        (pa.array([2**53 + 1]), [2**53]),
    ],
)
def test_numbers_of_any_type_are_numbers(column: pa.Array, expected: list[float]) -> None:
    values = as_numbers(column, "a", Path("t.csv"), "")
    np.testing.assert_array_equal(values, expected)
    narrow = column.type in (pa.bool_(), pa.float32(), pa.null())
    assert values.dtype == (np.float32 if narrow else np.float64)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["1", "2", "3a"]), "column 'a' holds '3a' in row 2, not numbers; drop it"),
        (pa.array([[1], [2]]), r"column 'a' holds \[1\] in row 0, not numbers"),
        (pa.array([1.0, None, float("-inf")]), "column 'a' holds an infinite value in row 2"),
    ],
)
def test_what_is_no_number_is_named(column: pa.Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_numbers(column, "a", Path("t.csv"), "drop it")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["x", None, ""]), ["x", None, None]),
        (pa.array([1, 2]), ["1", "2"]),
        (pa.array([1.0, 2.5]), ["1", "2.5"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
    ],
)
def test_values_of_any_type_have_a_name(column: pa.Array, expected: list[str | None]) -> None:
    assert as_strings(column, "a", Path("t.csv")) == expected


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([b"\xff"]), "column 'a' is no UTF-8 text; save the file as UTF-8"),
        (pa.array([{"b": 1}]), "column 'a' holds struct<b: int64>, not values of a category"),
    ],
)
def test_what_has_no_name_is_refused(column: pa.Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_strings(column, "a", Path("t.csv"))


def test_columns_are_found_by_name_before_pattern() -> None:
    names = ["x[1]", "x1", "y", "y*"]
    assert match_columns("x[1]", names) == ["x[1]", "x1"]
    assert match_columns(["y*", "nothing"], names) == ["y", "y*"]
    with pytest.raises(
        InputError, match=r"drop='z\*' matches no column of t\.csv, which has 'x\[1\]', 'x1', 'y', 'y\*'"
    ):
        check_columns("drop", ["y", "z*"], names, Path("t.csv"))
    many = [f"c{i}" for i in range(20)]
    with pytest.raises(InputError, match=r"which has 'c0', .* 'c7' and 12 others"):
        check_columns("drop", "z", many, Path("t.csv"))
