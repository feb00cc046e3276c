"""Source of a table: a file, or a data frame in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from datamodules.tables.columns import check_unique_columns
from datamodules.tables.dialect import CsvFormat
from datamodules.tables.file import check_table, read_table
from datamodules.tables.parquet_file import expand_lists
from lightning_dc.errors import InputError

FRAME_NAME = "the data frame"
"""Name of a data frame in messages, which name the path of a file."""


@dataclass(frozen=True)
class TableSource:
    """File or data frame from which a table is read.

    Args:
        path: the file; for a data frame its name in messages.
        frame: the data frame as a ``pyarrow.Table``; None for a file.
    """

    path: Path
    frame: Any = None

    @classmethod
    def of(cls, given: Any, argument: str) -> TableSource:
        """Return the source that a user gives.

        Args:
            given: a path, a pandas or polars ``DataFrame``, a ``pyarrow.Table``, or another table that offers itself as
                a stream of Arrow (``__arrow_c_stream__``).
            argument: name of the argument, for messages.

        Raises:
            InputError: it is none of them, has two columns of one name, or a column with values of several types.
        """
        if isinstance(given, (str, PathLike)):
            return cls(Path(fspath(given)).expanduser())
        return cls(Path(FRAME_NAME), _as_arrow(given, argument))

    def read(
        self,
        as_text: Sequence[str],
        wanted: CsvFormat,
        known: Sequence[str] | None,
        inferred: Sequence[str] | None,
    ) -> Any:
        """Read the table; see :func:`~datamodules.tables.file.read_table`, whose arguments mean nothing to a frame."""
        if self.frame is None:
            return read_table(self.path, as_text, wanted, known, inferred)
        check_table(self.frame, self.path)
        return expand_lists(self.frame, self.path)


def _as_arrow(given: Any, argument: str) -> Any:
    import pyarrow as pa

    path = Path(FRAME_NAME)
    columns: Any = getattr(given, "columns", None)
    is_pandas = type(given).__module__.split(".")[0] == "pandas" and columns is not None
    if not (is_pandas or (hasattr(given, "__arrow_c_stream__") and hasattr(given, "shape"))):
        raise InputError(
            f"{argument} is {type(given).__name__}; give a path, a pandas or polars DataFrame, or a pyarrow Table"
        )
    try:
        if is_pandas:  # with its index, which the stream of Arrow leaves out
            check_unique_columns([str(name) for name in columns], path)
            return pa.Table.from_pandas(given)
        return _without_views(pa.table(given))
    except InputError:
        raise
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: can't be read ({reason}); give each column values of one type, by frame.astype for example"
        ) from error


def _without_views(table: Any) -> Any:
    """Return a table whose texts are of the usual type; polars has views of them, for which Arrow has few functions."""
    import pyarrow as pa

    for i, column in enumerate(table.schema):
        if "string_view" not in str(column.type):
            continue
        values = table.column(i)
        if pa.types.is_dictionary(column.type):
            values = values.combine_chunks() if values.num_chunks == 1 else values.unify_dictionaries().combine_chunks()
            parts = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
            arrays = [pa.DictionaryArray.from_arrays(p.indices, p.dictionary.cast(pa.large_string())) for p in parts]
            values = pa.chunked_array(arrays)
        else:
            values = values.cast(pa.large_string())
        table = table.set_column(i, column.name, values)
    return table
