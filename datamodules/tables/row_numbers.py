"""Columns that number or name the rows, and are no measurement."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from datamodules.messages import quote_first

_ROW_NUMBERS = re.compile(r"__index_level_[0-9]+__|Unnamed: [0-9]+([._].*)?|\s*")
_ENOUGH_ROWS = 10  # of fewer, whole numbers are often all different


def row_number_columns(names: Sequence[str], metadata: Mapping[bytes, bytes] | None) -> list[str]:
    """Return the columns in which pandas has kept the index of a table, and those of a CSV file without a name.

    Args:
        names: columns of the table.
        metadata: metadata of its Arrow schema, in which pandas tells the columns of the index.

    Example:
        >>> row_number_columns(["__index_level_0__", "age", "Unnamed: 0"], None)
        ['__index_level_0__', 'Unnamed: 0']
    """
    try:
        told = json.loads((metadata or {})[b"pandas"])["index_columns"]
    except (KeyError, TypeError, ValueError):  # there is no such metadata, or it is damaged
        told = []
    index = {name for name in told if isinstance(name, str)} if isinstance(told, list) else set()
    return [name for name in names if name in index or _ROW_NUMBERS.fullmatch(name)]


def warn_of_identifiers(
    columns: Mapping[str, NDArray[Any]], categories: Sequence[str], path: Path, remedy: str
) -> None:
    """Warn of inputs that count up, or that have another whole number or text in every row, as ids do.

    Args:
        columns: numeric inputs, (N,) each.
        categories: categorical inputs that have another category in every row.
        path: the file, for messages.
        remedy: advice for the user.
    """
    with np.errstate(over="ignore"):  # of values near the largest float
        up = [name for name, values in columns.items() if counts_up(values)]
        distinct = [name for name, values in columns.items() if name not in up and all_differ(values)]
    distinct += categories
    parts = [f"{quote_first(names)} {what}" for names, what in ((up, _UP), (distinct, _DISTINCT)) if names]
    if parts:
        rank_zero_warn(f"{path}: {' and '.join(parts)}, as ids do; if they are no measurements, {remedy}")


_UP = "counts up with the rows"
_DISTINCT = "has another whole number or text in every row"


def counts_up(values: NDArray[Any]) -> bool:
    """Tell whether whole numbers rise by 1 in each of at least ten rows.

    Example:
        >>> counts_up(np.arange(5, 25)), counts_up(np.arange(0, 40, 2))
        (True, False)
    """
    return len(values) >= _ENOUGH_ROWS and bool(values[1] - values[0] == 1 and (np.diff(values) == 1).all())


def all_differ(values: NDArray[Any]) -> bool:
    """Tell whether at least ten values are whole numbers and all different.

    Example:
        >>> all_differ(np.arange(0.0, 40.0, 2.0)), all_differ(np.linspace(0, 1, 20)), all_differ(np.zeros(20))
        (True, False, False)
    """
    if len(values) < _ENOUGH_ROWS or values.max() - values.min() < len(values) - 1:
        return False
    return bool((values == np.round(values)).all()) and len(np.unique(values)) == len(values)
