"""Copies of tables with the clusters of their rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.annotation import NO_CLUSTER, Annotation, free_name
from datamodules.tables.csv_file import DELIMITERS, read_csv_as_text
from datamodules.tables.dialect import CsvFormat
from datamodules.tables.file import table_kind
from lightning_dc.errors import InputError

_ROWS = 1 << 14  # that are written at a time


def copy_endings(path: Path) -> Sequence[str]:
    """Return the endings that a copy of a table may have; none if the file is no table."""
    return {"csv": tuple(DELIMITERS), "parquet": (".parquet",), None: ()}[table_kind(path)]


def write_table_copy(
    source: Path, path: Path, ending: str, annotation: Annotation, wanted: CsvFormat, known: Sequence[str] | None = None
) -> None:
    """Write a copy of a table with the columns ``cluster`` and, of soft clusters, ``confidence``.

    Args:
        source: the table.
        path: file to write.
        ending: one of :func:`copy_endings`. The fields of a CSV file stay the text that they are, and its delimiter
            and decimal sign stay, too, but for a delimiter that the ending stands for; the encoding becomes UTF-8.
        annotation: clusters of the rows.
        wanted: format of a CSV file as the user gives it.
        known: columns of the file that a model was trained on; None if nothing has been learned.

    Raises:
        InputError: the table has another number of rows than the annotation: it has changed.
    """
    if table_kind(source) == "parquet":
        from pyarrow import parquet

        table = parquet.read_table(source, partitioning=None)
        parquet.write_table(_annotated(table, annotation, source), path)
        return
    table, dialect = read_csv_as_text(source, wanted, known)
    delimiter = dialect.delimiter
    if ending == ".tsv" or delimiter == DELIMITERS[".tsv"]:
        delimiter = DELIMITERS[ending]
    table = _annotated(table, annotation, source)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(table.column_names)
        for part in table.to_batches(_ROWS):
            writer.writerows(zip(*(_fields(column, dialect.decimal) for column in part.columns), strict=True))


def _fields(column: Any, decimal: str) -> list[Any]:
    """Return the fields of a column, with the decimal sign of the file in the numbers of the annotation."""
    values: list[Any] = column.to_pylist()
    if decimal == ".":
        return values
    return [str(value).replace(".", decimal) if isinstance(value, float) else value for value in values]


def _annotated(table: Any, annotation: Annotation, source: Path) -> Any:
    """Return a table with the clusters as further columns."""
    import pyarrow as pa

    if table.num_rows != len(annotation.cluster):
        raise InputError(
            f"{source}: has {table.num_rows} rows, but there were {len(annotation.cluster)} when it was read; keep the "
            "file until the fit has ended"
        )
    missing = annotation.cluster == NO_CLUSTER
    columns: dict[str, Any] = {"cluster": annotation.cluster}
    if annotation.confidence is not None:
        columns["confidence"] = annotation.confidence
    for name, values in columns.items():
        array = pa.array(np.where(missing, 0, values), mask=missing)
        table = table.append_column(free_name(name, table.column_names), array)
    return table
