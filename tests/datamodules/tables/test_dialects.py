"""Dialects, encodings and compressions of CSV files."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import logging
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from datamodules import TableDataModule, TextDataModule
from datamodules.tables.dialect import CsvFormat
from datamodules.tables.file import read_table
from lightning_dc.errors import InputError
from tests.helpers.fake_files import texts

NUMBERS = np.random.default_rng(0).normal(size=(30, 3)).round(4)
WORDS = [f"wörd {i % 4}" for i in range(30)]


def lines(delimiter: str = ",", decimal: str = ".", header: str | None = "a,b,c,w", words: bool = True) -> str:
    """A file of three columns of numbers and one of words; the names are those of the header, divided by commas."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    if header is not None:
        writer.writerow(header.split(",")[: 4 if words else 3])
    for row, word in zip(NUMBERS, WORDS, strict=True):
        numbers = [f"{value:.4f}".replace(".", decimal) for value in row]
        writer.writerow([*numbers, word] if words else numbers)
    return out.getvalue()


def read(path: Path, content: str | bytes, **wanted: Any) -> Any:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, wanted=CsvFormat(**wanted))


def assert_whole(table: Any, names: list[str] | None = None) -> None:
    assert table.column_names == (["a", "b", "c", "w"] if names is None else names)
    np.testing.assert_allclose(np.stack([table.column(j).to_numpy() for j in range(3)], axis=1), NUMBERS)
    assert table.num_columns == 3 or table.column(3).to_pylist() == WORDS


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "CSV"])
def test_delimiter_and_decimal_are_guessed_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str, delimiter: str, decimal: str
) -> None:
    path = tmp_path / f"t.{ending}"
    with caplog.at_level(logging.INFO):
        if (delimiter, decimal) == (",", ","):
            assert read(path, lines(delimiter, decimal))["a"].type == pa.string()  # 1,234 may be a thousand
            assert_whole(read(path, lines(delimiter, decimal), decimal=","))
        else:
            assert_whole(read(path, lines(delimiter, decimal)))
    assert ("delimiter=" in caplog.text) == (delimiter != ("\t" if ending == "tsv" else ","))
    assert ("decimal=" in caplog.text) == (decimal == "," and delimiter != ",")


@pytest.mark.parametrize("arguments", [{"delimiter": ";"}, {"decimal": ","}, {"delimiter": ";", "decimal": ","}])
def test_what_the_user_says_goes_before_a_guess(tmp_path: Path, arguments: dict[str, Any]) -> None:
    assert_whole(read(tmp_path / "t.csv", lines(";", ","), **arguments))


def test_a_delimiter_in_texts_is_none(tmp_path: Path) -> None:
    stories = [f'"one; two; {i}",{i}' for i in range(20)]
    assert read(tmp_path / "t.csv", "text,n\n" + "\n".join(stories))["n"].to_pylist() == list(range(20))
    one = "text\n" + "".join(f"first; and {'second; ' * (i % 3)} words\n" for i in range(20))
    assert read(tmp_path / "one.csv", one).column_names == ["text"]


def test_the_line_of_a_spreadsheet_names_the_delimiter(tmp_path: Path) -> None:
    assert_whole(read(tmp_path / "t.csv", "sep=^\n" + lines("^")))


@pytest.mark.parametrize(
    "encoded",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: ("\n\r\n" + text).encode(),
    ],
)
def test_unicode_is_read_in_any_encoding(tmp_path: Path, encoded: Callable[[str], bytes]) -> None:
    assert_whole(read(tmp_path / "t.csv", encoded(lines())))
    assert_whole(read(tmp_path / "t.csv", encoded(lines(";", ","))))


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_other_encodings_are_named_by_the_user(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(InputError, match=r"t\.csv: can't be read \(.*can't decode byte 0xf6.*set encoding to that of"):
        read(path, lines().encode(encoding))
    assert_whole(read(path, lines().encode(encoding), encoding=encoding))
    assert_whole(read(path, lines().encode("utf-8-sig"), encoding=encoding))


def zipped(content: bytes, *names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("inner/t.CSV", "__MACOSX/inner/._t.csv", "readme.txt"):
            archive.writestr(name, content)
    return out.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "csv.gz": gzip.compress,
    "CSV.GZ": gzip.compress,
    "csv.bz2": bz2.compress,
    "csv.xz": lzma.compress,
    "csv.zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    "tsv.gz": gzip.compress,
    "csv.zip": zipped,
    "zip": zipped,
    "csv": gzip.compress,  # under a name that hides it
}


@pytest.mark.parametrize("ending", COMPRESSIONS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_compressed_files_are_read(tmp_path: Path, ending: str, encoding: str) -> None:
    content = lines("\t" if ending.startswith("tsv") else ";").encode(encoding)
    if ending == "csv.zst" and encoding == "utf-8":  # the size of a frame may be missing
        with pa.CompressedOutputStream(pa.OSFile(str(tmp_path / "stream.csv.zst"), "wb"), "zstd") as out:
            out.write(content)
        assert_whole(read_table(tmp_path / "stream.csv.zst"))
    if ending == "csv.zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as out:
            out.write(content)
        assert_whole(read(tmp_path / f"t.{ending}", sink.getvalue().to_pybytes()))
    else:
        assert_whole(read(tmp_path / f"t.{ending}", COMPRESSIONS[ending](content)))


def test_an_archive_of_several_tables_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.zip: is an archive of 2 files that end in \.csv, \.tsv; give"):
        read(tmp_path / "t.zip", zipped(b"a\n1\n", "a.csv", "b.csv"))
    with pytest.raises(InputError, match=r"t\.zip: is an archive of 0 files"):
        read(tmp_path / "t.zip", zipped(b"a\n1\n", "a.txt"))
    for compress in (gzip.compress, bz2.compress, lzma.compress, zipped):
        with pytest.raises(InputError, match=r"t\.csv\.gz: can't be read"):
            read(tmp_path / "t.csv.gz", compress(lines().encode())[:-40])


def test_a_header_may_be_longer_than_a_block_of_the_parser(tmp_path: Path) -> None:
    names = [f"{'gene' * 30}_{j}" for j in range(12_000)]
    rows = [[str(i * j % 7) for j in range(12_000)] for i in range(3)]
    content = "\n".join(",".join([*row, "kind"[i]]) for i, row in enumerate(rows))
    path = tmp_path / "wide.csv"
    path.write_text(",".join([*names, "label"]) + "\n" + content + "\n")
    assert path.read_bytes().index(b"\n") > 1 << 20
    data = TableDataModule(str(path), label="label", scaling="rms")
    data.setup("fit")
    assert data.input_shape == (12_000,)
    assert data.classes == ["i", "k", "n"]


# ---- the header ----------------------------------------------------------------------------------------------------


def rows(*columns: Any) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


INTEGERS = np.random.default_rng(1).integers(0, 50, (30, 3))


@pytest.mark.parametrize(
    ("content", "n_rows", "names"),
    [
        (lines(header=None), 30, ["f0", "f1", "f2", "f3"]),
        (lines(header=None, words=False), 30, ["f0", "f1", "f2"]),
        (lines(";", ",", header=None), 30, ["f0", "f1", "f2", "f3"]),
        ("1.5,,2.5\n2.5,1.0,0.5\n1.0,2.0,3.0\n", 3, ["f0", "f1", "f2"]),
        ("5,0,0,7\n" + rows(*INTEGERS.T, range(30)), 31, ["f0", "f1", "f2", "f3"]),  # a name comes once
        (rows(["p", "x"] * 9, ["s", "t", "s"] * 6), 18, ["f0", "f1"]),
        (lines(header="0,1,2", words=False), 30, ["0", "1", "2"]),
        (lines(header="2019,2020,2021", words=False), 30, ["2019", "2020", "2021"]),
        (lines(header="7,3,90", words=False), 30, ["7", "3", "90"]),  # whole numbers above fractions
        ("400.5,401.0,401.5\n" + lines(header=None, words=False), 30, ["400.5", "401.0", "401.5"]),
        ("0,1,2\n" + rows(*INTEGERS.T), 30, ["0", "1", "2"]),
        (lines(header="7,3,90,who"), 30, ["7", "3", "90", "who"]),
        ("text\n" + "a text\n" * 3, 3, ["text"]),
        ("a,b\n1,x\na,b\n2,y\n", 3, ["a", "b"]),  # two files, put together
        (",0,1\n0,0.5,0.1\n1,0.2,0.7\n", 2, ["Unnamed: 0", "0", "1"]),
        ("a,b,\n1,2,\n3,4,\n", 2, ["a", "b", "Unnamed: 2"]),
        ("a,b\n1,2,\n3,4,\n", 2, ["a", "b", "Unnamed: 2"]),
        ('"a","b"\n"r1",0.1,0.2\n"r2",0.3,0.1\n', 2, ["Unnamed: 0", "a", "b"]),  # R names no row names
    ],
)
def test_a_header_is_recognised(tmp_path: Path, content: str, n_rows: int, names: list[str]) -> None:
    table = read(tmp_path / "t.csv", content)
    assert table.column_names == names
    assert table.num_rows == n_rows


@pytest.mark.parametrize("content", [rows(*INTEGERS.T), "5\n3\n4\n", "Ann,1.5,2.5\nBob,2.5,3.5\n"])
def test_a_line_that_may_be_either_is_refused_unless_the_user_knows(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(InputError, match=r"t\.csv: the first line, .*, may be a header or a row; set header to true"):
        read(path, content)
    n_lines = content.count("\n")
    assert read(path, content, header=False).num_rows == n_lines
    table = read(path, content, header=True)
    assert (table.num_rows, table.column_names) == (n_lines - 1, content.split("\n")[0].split(","))


def test_without_a_header_no_sample_is_lost_and_new_files_are_read_alike(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, new = tmp_path / "t.csv", tmp_path / "new.csv"
    path.write_text(lines(header=None))
    with caplog.at_level(logging.INFO):
        trained = TableDataModule(str(path), label="f3", scaling="none")
        trained.setup("fit")
    assert "has no header, so its columns are called f0, f1 and so on; set header to true" in caplog.text
    x = trained.predict_dataloader().read(0, 100).x
    np.testing.assert_allclose(x, NUMBERS, rtol=1e-6)
    new.write_text(lines(header=None).splitlines()[4] + "\n")  # a single row says nothing by itself
    other = TableDataModule(str(new))
    other.load_preprocessing_state(trained.preprocessing_state())
    np.testing.assert_allclose(other.predict_dataloader().read(0, 100).x, NUMBERS[4:5], rtol=1e-6)


def test_numbers_are_the_header_of_a_new_file_where_the_training_file_had_them(tmp_path: Path) -> None:
    path, new = tmp_path / "t.csv", tmp_path / "new.csv"
    path.write_text("9,4,7\n" + rows(*INTEGERS.T))
    trained = TableDataModule(str(path), scaling="none", header=True)
    trained.setup("fit")
    trained.train_dataloader()
    new.write_text("7,9,4\n" + rows(*INTEGERS[:, [2, 0, 1]].T))
    other = TableDataModule(str(new))
    other.load_preprocessing_state(trained.preprocessing_state())
    np.testing.assert_array_equal(other.predict_dataloader().read(0, 100).x, INTEGERS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decimal": ";"}, "decimal=';' is unknown; choose from '.', ','"),
        ({"encoding": "utf-9"}, "encoding='utf-9' is unknown"),
    ],
)
def test_bad_formats_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TableDataModule("t.csv", **arguments)


def test_texts_of_a_table_are_read_in_their_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"text;kind\n" + "".join(f"\u201c{text}\u201d é;a\n" for text in texts()).encode("cp1252"))
    data = TextDataModule(str(path), n_words=5, encoding="cp1252", label="kind")
    data.setup("fit")
    assert data.predict_dataloader().n_samples == 60
    with pytest.raises(InputError, match=r"can't decode byte 0x93.*set encoding"):
        TextDataModule(str(path)).setup("fit")
