"""Reader of CSV and TSV files in any dialect, encoding and compression."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.decompression import read_file
from datamodules.messages import tell
from datamodules.tables.columns import match_columns
from datamodules.tables.dialect import CsvFormat, Dialect
from lightning_dc.errors import InputError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""Delimiter that the ending of a file stands for."""

_MOST_BLOCK_BYTES = (1 << 31) - 1  # of a file, whose types are inferred from the first block alone
_HEAD_BYTES = 1 << 18
_CHUNK_BYTES = 1 << 24
_MARKS = (  # the mark of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(rb'\A"?sep=(.)"?\r?\n')


def read_csv(
    path: Path, as_text: Sequence[str], wanted: CsvFormat, known: Sequence[str] | None, inferred: Sequence[str] | None
) -> Any:
    """Read a CSV or TSV file.

    Args:
        path: the file, which may be compressed.
        as_text: names or patterns of columns that are read as text.
        wanted: format that the user gives; what it leaves open is guessed.
        known: columns of the file that a model was trained on; None if nothing has been learned.
        inferred: names or patterns of the only columns, beside ``as_text``, that are not read as text; None for all. In
            columns without such a name the text ``NA`` stays, since it may be a word of its own.

    Returns:
        A ``pyarrow.Table``.

    Raises:
        InputError: the text is not in the encoding, or is too large, or the first line may be a header or a row.
        ValueError: the file is empty or damaged.
    """
    import pyarrow as pa
    from pyarrow import csv

    content, dialect = _content(path, wanted, known)
    texts = match_columns(as_text, dialect.names)
    others = match_columns(inferred or [], dialect.names)
    if inferred is not None:
        texts += list(set(dialect.names).difference(others))
    converting = csv.ConvertOptions(
        strings_can_be_null=True, column_types=dict.fromkeys(texts, pa.string()), decimal_point=dialect.decimal
    )
    if inferred is None:
        return _parse(content, dialect, converting)
    nulls = converting.null_values
    converting.null_values = [text for text in nulls if text != "NA"]
    table = _parse(content, dialect, converting)
    if others:
        converting.null_values, converting.include_columns = nulls, others
        for name, column in zip(others, _parse(content, dialect, converting).columns, strict=True):
            table = table.set_column(dialect.names.index(name), name, column)
    return table


def read_csv_as_text(path: Path, wanted: CsvFormat, known: Sequence[str] | None) -> tuple[Any, Dialect]:
    """Read every field of a CSV or TSV file as the text that it is.

    Args:
        path: the file, as in :func:`read_csv`.
        wanted: likewise.
        known: likewise.

    Returns:
        A ``pyarrow.Table`` of strings, in which nothing is missing, and the dialect of the file.
    """
    import pyarrow as pa
    from pyarrow import csv

    content, dialect = _content(path, wanted, known)
    types = {name: pa.string() for name in dialect.names}
    return _parse(content, dialect, csv.ConvertOptions(strings_can_be_null=False, column_types=types)), dialect


def _content(path: Path, wanted: CsvFormat, known: Sequence[str] | None) -> tuple[bytes, Dialect]:
    """Return the text of a file and its dialect."""
    content, default = _without_separator_line(_text(path, wanted.encoding), path, wanted)
    return content, Dialect.of(_head(content), path, wanted, default, known)


def _parse(content: bytes, dialect: Dialect, converting: Any) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    parsing = csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True)
    options: dict[str, Any] = {
        "column_names": dialect.names,
        "skip_rows_after_names": int(dialect.header),
        "block_size": min(len(content) + 1, _MOST_BLOCK_BYTES),
    }
    try:
        return csv.read_csv(pa.BufferReader(content), csv.ReadOptions(**options), parsing, converting)
    except pa.ArrowInvalid:  # read again, since without threads the error names the row
        options["use_threads"] = False
        return csv.read_csv(pa.BufferReader(content), csv.ReadOptions(**options), parsing, converting)


def _text(path: Path, encoding: str) -> bytes:
    """Return the text of a file in UTF-8, without a byte order mark and without empty lines at the beginning."""
    content = read_file(path, tuple(DELIMITERS))
    mark = next((one for one in _MARKS if content.startswith(one[0])), None)
    encoding = mark[1] if mark else _wide_encoding(content) or encoding
    try:
        if codecs.lookup(encoding).name == "utf-8":
            content = content.removeprefix(codecs.BOM_UTF8)
            _check_utf8(content)
        else:
            content = content.decode(encoding).encode()
    except UnicodeError as error:
        raise InputError(
            f"{path}: can't be read ({error}); set encoding to that of the file, such as cp1252 (Windows in Western "
            "Europe), or save it as UTF-8"
        ) from error
    content = content.lstrip(b"\r\n")
    if not content:
        raise ValueError("Empty CSV file")
    return content


def _wide_encoding(content: bytes) -> str | None:
    """Return the name of UTF-16 for a text without a mark in which every other byte is 0; None for another text."""
    head = content[: 1 << 12]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if min(even, odd) > 0 or max(even, odd) < 0.4 * len(head):
        return None
    return "utf-16-le" if odd else "utf-16-be"


def _check_utf8(content: bytes) -> None:
    """Check that a text is UTF-8, in pieces, since the decoded text may take four times as much memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(content), _CHUNK_BYTES):
        decoder.decode(content[start : start + _CHUNK_BYTES])
    decoder.decode(b"", final=True)


def _without_separator_line(content: bytes, path: Path, wanted: CsvFormat) -> tuple[bytes, str]:
    """Return the text without Excel's line ``sep=;``, and the delimiter that the line or the ending stands for."""
    line = _SEPARATOR_LINE.match(content)
    if line is None:
        return content, DELIMITERS[next((end for end in DELIMITERS if end in path.name.lower()), ".csv")]
    if wanted.delimiter is None:
        tell(f"{path}: is read with the delimiter of its first line, {line[0].decode().strip()}")
    return content[line.end() :], line[1].decode()


def _head(content: bytes) -> str:
    """Return the first lines of a text, at least the header and some rows of it."""
    n_bytes = _HEAD_BYTES
    while n_bytes < len(content) and content.count(b"\n", 0, n_bytes) < 3:
        n_bytes *= 4
    head = content[:n_bytes]
    while n_bytes < len(content) and head.count(b"\n") > 1:
        head = head[: head.rfind(b"\n", 0, len(head) - 1) + 1]
        if head.count(b'"') % 2 == 0:  # otherwise the last line ends in a quoted field
            break
    return head.decode(errors="ignore")
