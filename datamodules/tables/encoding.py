"""From the columns of a table to numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.tables.file import as_numbers, as_strings
from lightning_dc.errors import InputError

Missing = Literal["error", "mean", "median", "most_frequent"]
Unseen = Literal["error", "zeros"]

_MOST_CATEGORIES = 10_000
_REMEDY = "name it in categorical or in drop, or mend the value"


class TableEncoding:
    """Numeric columns as they are and categorical ones one-hot, with missing values filled in or refused.

    Args:
        columns: categories of each column, in the order of the inputs; None for a numeric column.
        fill: what is put for a missing value, by column; empty to refuse them.
    """

    def __init__(self, columns: Mapping[str, Sequence[str] | None], fill: Mapping[str, float | str]) -> None:
        self.columns = {name: None if found is None else list(found) for name, found in columns.items()}
        self.fill = dict(fill)

    @classmethod
    def learn(
        cls, table: Any, names: Sequence[str], categorical: Sequence[str], rows: Any, missing: Missing, path: Path
    ) -> TableEncoding:
        """Learn categories, and what to put for missing values.

        Args:
            table: a ``pyarrow.Table``.
            names: its columns that are inputs.
            categorical: those of them that are categorical.
            rows: training rows, (n,); None for all.
            missing: ``error`` refuses missing values; ``mean``, ``median`` or ``most_frequent`` value of the training
                rows is put for them in numeric columns, and the most frequent one in categorical columns. Of several
                most frequent ones the smallest is.
            path: the file, for messages.

        Raises:
            InputError: a column that holds no value in the training rows, or something else than it should.
        """
        columns: dict[str, list[str] | None] = {}
        fill: dict[str, float | str] = {}
        training = table if rows is None else table.take(rows)
        for name in names:
            values: Any
            if name in categorical:
                values = [value for value in as_strings(training[name], name, path) if value is not None]
                columns[name] = sort_distinct(values)
                if len(set(values)) > _MOST_CATEGORIES:
                    raise InputError(
                        f"{path}: column {name!r} holds {len(set(values))} categories; drop it, or give it as numbers"
                    )
            else:
                values = as_numbers(training[name], name, path, _REMEDY)
                values = values[~np.isnan(values)]
                columns[name] = None
            if len(values) == 0:
                raise InputError(f"{path}: column {name!r} has no value in the training rows; name it in drop")
            if missing != "error":
                fill[name] = _fill(values, missing)
        return cls(columns, fill)

    @property
    def feature_names(self) -> list[str]:
        """Name of each input: that of the column, of a one-hot one with its category, as in ``colour=red``."""
        return [
            name if categories is None else f"{name}={category}"
            for name, categories in self.columns.items()
            for category in (categories if categories is not None else [""])
        ]

    @property
    def feature_groups(self) -> list[list[int]]:
        """Inputs of each column."""
        groups, start = [], 0
        for categories in self.columns.values():
            stop = start + (1 if categories is None else len(categories))
            groups.append(list(range(start, stop)))
            start = stop
        return groups

    def __call__(self, table: Any, path: Path, unseen: Unseen) -> NDArray[Any]:
        """Inputs of each row.

        Args:
            table: a ``pyarrow.Table`` with all the columns, in any order.
            path: the file, for messages.
            unseen: a category that was not among those learned is an error, or has zeros for all of them.

        Returns:
            (N, F), float32 where that holds every column's type exactly, otherwise float64.

        Raises:
            InputError: a value that is missing, unseen, or of another type; the message names column and row, from 0.
        """
        parts: list[NDArray[Any]] = []
        for name, categories in self.columns.items():
            if categories is None:
                parts.append(self._numbers(table[name], name, path)[:, None])
            else:
                parts.append(self._one_hot(table[name], name, categories, path, unseen))
        return np.concatenate(parts, axis=1)

    def _numbers(self, column: Any, name: str, path: Path) -> NDArray[Any]:
        values: NDArray[Any] = as_numbers(column, name, path, _REMEDY)
        missing = np.isnan(values)
        if missing.any():
            if name not in self.fill:
                raise _is_missing(path, name, int(missing.argmax()))
            values[missing] = self.fill[name]
        return values

    def _one_hot(
        self, column: Any, name: str, categories: Sequence[str], path: Path, unseen: Unseen
    ) -> NDArray[np.float32]:
        number = {category: i for i, category in enumerate(categories)}
        values = as_strings(column, name, path)
        one_hot = np.zeros((len(values), len(categories)), np.float32)
        for row, value in enumerate(values):
            if value is None:
                if name not in self.fill:
                    raise _is_missing(path, name, row)
                value = str(self.fill[name])
            place = number.get(value)
            if place is not None:
                one_hot[row, place] = 1
            elif unseen == "error":
                raise InputError(
                    f"{path}: column {name!r} holds {value!r} in row {row}, which no training row has; set unseen to "
                    "zeros, or leave the row out"
                )
        return one_hot

    def state_dict(self) -> dict[str, Any]:
        """Columns and what fills them."""
        return {"columns": self.columns, "fill": self.fill}


def sort_distinct(values: Iterable[str]) -> list[str]:
    """Distinct values, as numbers where they all are, otherwise as text.

    Example:
        >>> sort_distinct(["10", "9", "10"]), sort_distinct(["b", "10", "9"])
        (['9', '10'], ['10', '9', 'b'])
    """
    distinct = sorted(set(values))
    try:
        numbers = {value: float(value) for value in distinct}
    except ValueError:
        return distinct
    return distinct if any(map(math.isnan, numbers.values())) else sorted(distinct, key=numbers.__getitem__)


def _fill(values: Any, missing: Missing) -> float | str:
    if isinstance(values, list):
        counts = Counter(values)
        return max(sort_distinct(values), key=counts.__getitem__)  # the first of several
    if missing == "most_frequent":
        distinct, n_times = np.unique(values, return_counts=True)
        return float(distinct[n_times.argmax()])
    return float(np.mean(values, dtype=np.float64) if missing == "mean" else np.median(values.astype(np.float64)))


def _is_missing(path: Path, name: str, row: int) -> InputError:
    return InputError(
        f"{path}: column {name!r} has no value in row {row}; set missing to mean, median or most_frequent, or leave "
        "the row out"
    )
