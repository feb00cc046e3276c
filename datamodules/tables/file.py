"""Reader of tables in CSV and Parquet files, and checks of their columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from datamodules.messages import as_list, quote_first, unreadable_file
from lightning_dc.errors import InputError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_MOST_BLOCK_BYTES = (1 << 31) - 1  # of a CSV file, whose types are inferred from the first block alone


def is_table_file(path: Path) -> bool:
    """Tell whether a file has the ending of a table."""
    return path.suffix in (*_DELIMITERS, ".parquet")


def read_table(path: Path, as_text: Sequence[str] = (), delimiter: str | None = None) -> Any:
    """Read a table.

    The type of a column of a CSV file is inferred from all of its rows, so that a single word turns a column of numbers
    into a column of text. Empty fields and ``NA``, ``NaN``, ``null``, ``#N/A`` and the like are missing values, also in
    columns of text.

    Args:
        path: a ``.csv``, ``.tsv`` or ``.parquet`` file, UTF-8.
        as_text: names or patterns of columns of a CSV file that are read as text, whatever they look like, so that
            ``01`` stays ``01``.
        delimiter: character between the fields of a line; None is a comma, or a tab in a ``.tsv`` file.

    Returns:
        A ``pyarrow.Table``.

    Raises:
        InputError: the file is missing, damaged or of another kind, has no rows, or has two columns of one name.
    """
    if not is_table_file(path):
        raise InputError(f"{path}: must end in .csv, .tsv or .parquet; give a file of one of these kinds")
    if not path.is_file():
        raise InputError(f"{path}: is no file; give the path of one")
    try:
        table = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, as_text, delimiter)
        names = table.column_names  # fails if a name is not UTF-8
    except Exception as error:  # damaged files make the parsers fail in many ways
        raise unreadable_file(path, error) from error
    check_unique_columns(names, path)
    if table.num_rows == 0:
        raise InputError(f"{path}: has no rows; give a table with samples")
    return table


def check_unique_columns(names: Sequence[str], path: Path) -> None:
    """Check that no two columns have the same name.

    Raises:
        InputError: two columns have the same name.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"{path}: has more than one column named {twice[0]!r}; rename one")


def match_columns(patterns: str | Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns that a name or pattern (``gene_*``) matches, in the order of the table.

    Example:
        >>> match_columns(["gene_*", "age"], ["id", "age", "gene_a", "gene_b"])
        ['age', 'gene_a', 'gene_b']
    """
    return [name for name in names if any(_matches(name, pattern) for pattern in as_list(patterns))]


def check_columns(argument: str, patterns: str | Sequence[str], names: Sequence[str], path: Path) -> None:
    """Check that each name or pattern matches a column.

    Args:
        argument: name of the argument that holds the names and patterns, for messages.
        patterns: the names and patterns.
        names: columns of the table.
        path: its file, for messages.

    Raises:
        InputError: a name or pattern matches no column.
    """
    for pattern in as_list(patterns):
        if not any(_matches(name, pattern) for name in names):
            raise InputError(f"{argument}={pattern!r} matches no column of {path}, which has {quote_first(names)}")


def require_column(argument: str, name: str | None, names: Sequence[str], path: Path) -> None:
    """Check that a table has a column.

    Args:
        argument: name of the argument that names the column, for messages.
        name: the column; None needs no column.
        names: columns of the table.
        path: its file, for messages.

    Raises:
        InputError: the table has no such column.
    """
    if name is not None and name not in names:
        raise InputError(f"{argument}={name!r} is no column of {path}, which has {quote_first(names)}")


def as_strings(column: Any, name: str, path: Path) -> list[str | None]:
    """Return the values of a column as text; a missing or empty value is None.

    Raises:
        InputError: the column holds something that is neither text, number, truth value nor date.
    """
    import pyarrow as pa

    column = _decode(column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        raise InputError(f"{path}: column {name!r} is no UTF-8 text; save the file as UTF-8, or leave the column out")
    try:
        strings: list[str | None] = [value or None for value in column.cast(pa.string()).to_pylist()]
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{path}: column {name!r} holds {column.type}, not values of a category") from error
    return strings


def as_numbers(column: Any, name: str, path: Path, remedy: str) -> Any:
    """Return the values of a column as numbers, NaN where missing.

    Args:
        column: a column of a table.
        name: its name.
        path: the file, for messages.
        remedy: advice for a column of text, for messages.

    Returns:
        A NumPy array, (N,): float32 if that holds the type of the column exactly, otherwise float64.

    Raises:
        InputError: the column holds text, dates or infinite values; the message names the first row, from 0, with one.
    """
    import numpy as np
    import pyarrow as pa

    column = _decode(column)
    kind = column.type
    types = pa.types
    numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind)
    if not (numeric or types.is_decimal(kind)):
        raise InputError(f"{path}: column {name!r} holds {_first_text(column)}, not numbers; {remedy}")
    narrow = kind in (pa.float16(), pa.float32(), pa.bool_(), pa.int8(), pa.uint8(), pa.int16(), pa.uint16())
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if types.is_null(kind):
        return np.full(len(column), np.nan, np.float32)
    if types.is_boolean(kind):
        column = column.cast(pa.uint8())
    numbers = column.cast(pa.float32() if narrow else pa.float64(), safe=False).fill_null(0)
    values = numbers.to_numpy(zero_copy_only=False).copy()
    values[missing] = np.nan
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(f"{path}: column {name!r} holds an infinite value in row {int(infinite.argmax())}; replace it")
    return values


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def _decode(column: Any) -> Any:
    """Return a column as one array without a dictionary."""
    import pyarrow as pa

    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _first_text(column: Any) -> str:
    """Return a description of the first value that is not a number, with its row."""
    for row, value in enumerate(column.to_pylist()):
        try:
            if value is not None:
                float(value)
        except (TypeError, ValueError):
            return f"{value!r} in row {row}"
    return str(column.type)


def _read_parquet(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.read_table(path, partitioning=None)


def _read_csv(path: Path, as_text: Sequence[str], delimiter: str | None) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    parsing = csv.ParseOptions(
        delimiter=_DELIMITERS[path.suffix] if delimiter is None else delimiter, newlines_in_values=True
    )
    block = min(path.stat().st_size + 1, _MOST_BLOCK_BYTES)
    types = {}
    if as_text:
        with csv.open_csv(path, parse_options=parsing) as file:
            types = {name: pa.string() for name in match_columns(as_text, file.schema.names)}
    converting = csv.ConvertOptions(strings_can_be_null=True, column_types=types)
    options = {"parse_options": parsing, "convert_options": converting}
    try:
        return csv.read_csv(path, csv.ReadOptions(block_size=block), **options)
    except pa.ArrowInvalid:  # read again, since without threads the error names the row
        return csv.read_csv(path, csv.ReadOptions(block_size=block, use_threads=False), **options)
