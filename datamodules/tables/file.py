"""Reader of tables in CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from datamodules.messages import unreadable_file
from datamodules.tables.columns import check_unique_columns
from datamodules.tables.csv_file import DELIMITERS, read_csv
from datamodules.tables.dialect import CsvFormat
from datamodules.tables.parquet_file import PARQUET_ENDINGS, read_parquet
from lightning_dc.errors import InputError

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")


def table_kind(path: Path) -> Literal["csv", "parquet"] | None:
    """Return the kind of table that the ending of a file stands for, in upper or lower case; None for no table.

    Example:
        >>> [table_kind(Path(name)) for name in ("a.CSV", "a.tsv.gz", "a.pq", "a.txt")]
        ['csv', 'csv', 'parquet', None]
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PARQUET_ENDINGS:
        return "parquet"
    if len(suffixes) > 1 and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return "csv" if suffixes and suffixes[-1] in (*DELIMITERS, ".zip") else None


def is_table_file(path: Path) -> bool:
    """Tell whether a file has the ending of a table."""
    return table_kind(path) is not None


def read_table(
    path: Path,
    as_text: Sequence[str] = (),
    wanted: CsvFormat | None = None,
    known: Sequence[str] | None = None,
    inferred: Sequence[str] | None = None,
) -> Any:
    """Read a table.

    The type of a column of a CSV file is inferred from all of its rows, so that a single word turns a column of numbers
    into a column of text. Empty fields and ``NA``, ``NaN``, ``null``, ``#N/A`` and the like are missing values, also in
    columns of text. A column of a CSV file without a name is called ``Unnamed: 0``, by its place. A column of a Parquet
    file with lists of numbers of one length becomes as many columns, ``name[0]``, ``name[1]`` and so on.

    Args:
        path: a ``.csv``, ``.tsv`` or ``.parquet`` (``.pq``) file. A CSV or TSV file may be compressed by gzip, bz2, xz
            or zstd, or be the only one in a zip archive.
        as_text: names or patterns of columns of a CSV file that are read as text, whatever they look like, so that
            ``01`` stays ``01``.
        wanted: format of a CSV file as the user gives it; None guesses all of it.
        known: columns of the file that a model was trained on; None if nothing has been learned.
        inferred: names or patterns of the only columns of a CSV file, beside ``as_text``, that are not read as text;
            None for all.

    Returns:
        A ``pyarrow.Table``.

    Raises:
        InputError: the file is missing, damaged or of another kind, has no rows, or has two columns of one name.
    """
    kind = table_kind(path)
    if kind is None:
        raise InputError(f"{path}: must end in .csv, .tsv or .parquet; give a file of one of these kinds")
    if not path.is_file():
        raise InputError(f"{path}: is no file; give the path of one")
    try:
        wanted = CsvFormat() if wanted is None else wanted
        table = read_parquet(path) if kind == "parquet" else read_csv(path, as_text, wanted, known, inferred)
        _ = table.column_names  # fails if a name is not UTF-8
    except InputError:
        raise
    except Exception as error:  # damaged files make the parsers fail in many ways
        raise unreadable_file(path, error) from error
    check_table(table, path)
    return table


def check_table(table: Any, path: Path) -> None:
    """Check that a ``pyarrow.Table`` has rows, and no two columns of one name.

    Raises:
        InputError: it has no rows, or two columns of one name.
    """
    check_unique_columns(table.column_names, path)
    if table.num_rows == 0:
        raise InputError(f"{path}: has no rows; give a table with samples")
