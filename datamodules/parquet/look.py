"""A look into Parquet files before they are converted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.messages import unreadable_file
from datamodules.tables.values import leaf_type, list_width
from lightning_dc.errors import InputError

_MOST_ROWS = 1 << 22  # of which a column is read as a whole, 32 MiB
_FEW_ROWS = 1 << 10


def list_widths(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the length of the lists of each column of lists, as the first rows of a file have it.

    Args:
        path: a Parquet file.
        names: columns, of which those that are not in the file are left out.

    Raises:
        InputError: the lists of a column differ in length, or hold no numbers; or the file is damaged.
    """
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            lists = [name for name in names if name in schema.names and _is_list(schema.field(name).type)]
            found = {name: list_width(next(file.iter_batches(_FEW_ROWS, columns=[name])).column(0)) for name in lists}
            kinds = {name: schema.field(name).type for name in lists}
    except Exception as error:  # damaged files make the parser fail in many ways
        raise unreadable_file(path, error) from error
    for name, width in found.items():
        if width is None:
            raise InputError(
                f"{path}: column {name!r} holds {kinds[name]}, not numbers or lists of one length; choose others with "
                "columns"
            )
    return {name: width for name, width in found.items() if width is not None}


def integer_columns_that_may_be_unique(paths: Sequence[Path], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read the columns of integers whose range is as large as the number of rows, of files that are not too large.

    Args:
        paths: Parquet files.
        names: columns.

    Returns:
        The values of each such column, (N,).

    Raises:
        InputError: a file is damaged.
    """
    from pyarrow import parquet

    path = paths[0]
    try:
        metadata = [parquet.read_metadata(path := one) for one in paths]
        n_rows = sum(one.num_rows for one in metadata)
        if n_rows > _MOST_ROWS:
            return {}
        wide = _wide_range(metadata, set(names), n_rows)
        columns: dict[str, NDArray[Any]] = {}
        for name in wide:
            parts = [parquet.read_table(path := one, columns=[name], partitioning=None).column(0) for one in paths]
            if all(part.null_count == 0 for part in parts):
                columns[name] = np.concatenate([part.to_numpy() for part in parts])
        return columns
    except Exception as error:  # damaged files make the parser fail in many ways
        raise unreadable_file(path, error) from error


def _wide_range(metadata: Sequence[Any], names: set[str], n_rows: int) -> list[str]:
    """Return the columns of integers whose largest and smallest value lie at least N - 1 apart."""
    bounds: dict[str, tuple[int, int]] = {}
    for file in metadata:
        for group in (file.row_group(i) for i in range(file.num_row_groups)):
            for chunk in (group.column(j) for j in range(group.num_columns)):
                statistics = chunk.statistics if chunk.path_in_schema in names else None
                if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, int):
                    continue
                low, high = bounds.get(chunk.path_in_schema, (statistics.min, statistics.max))
                bounds[chunk.path_in_schema] = min(low, statistics.min), max(high, statistics.max)
    return [name for name, (low, high) in bounds.items() if high - low >= n_rows - 1]


def _is_list(kind: Any) -> bool:
    return bool(leaf_type(kind) != kind)
