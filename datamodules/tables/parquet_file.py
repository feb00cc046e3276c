"""Reader of Parquet files that fit into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datamodules.tables.values import list_width, lists_as_numbers

PARQUET_ENDINGS = (".parquet", ".pq", ".parq")
"""Endings of Parquet files, in lower case."""


def read_parquet(path: Path) -> Any:
    """Read a Parquet file.

    Returns:
        A ``pyarrow.Table``, in which each column of lists of numbers of one length D has become D columns.

    Raises:
        InputError: a list holds an infinite value.
        pyarrow.ArrowException: the file is damaged.
    """
    from pyarrow import parquet

    return expand_lists(parquet.read_table(path, partitioning=None), path)


def expand_lists(table: Any, path: Path) -> Any:
    """Return a ``pyarrow.Table`` in which each column of lists of numbers of one length D has become D columns.

    Args:
        table: the table.
        path: its file, for messages.

    Raises:
        InputError: a list holds an infinite value.
    """
    import pyarrow as pa

    widths = {i: list_width(table.column(i)) for i in range(table.num_columns)}
    if not any(widths.values()):
        return table
    names: list[str] = []
    columns: list[Any] = []
    for i, name in enumerate(table.column_names):
        if widths[i]:
            values = lists_as_numbers(table.column(i), name, path)
            columns += [pa.array(part, from_pandas=True) for part in values.T]
            names += element_names(name, values.shape[1])
        else:
            columns.append(table.column(i))
            names.append(name)
    return pa.table(columns, names=names).replace_schema_metadata(table.schema.metadata)


def element_names(name: str, width: int) -> list[str]:
    """Return the names of the inputs that a column of lists becomes.

    Example:
        >>> element_names("embedding", 2)
        ['embedding[0]', 'embedding[1]']
    """
    return [f"{name}[{i}]" for i in range(width)]
