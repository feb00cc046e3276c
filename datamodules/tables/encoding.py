"""Encoding of the columns of a table as numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.messages import quote_first, tell
from datamodules.tables.complaints import MOST_CATEGORIES
from datamodules.tables.normal import MOST_INPUTS, Normal
from datamodules.tables.reading import Reading
from datamodules.tables.values import as_numbers, as_strings
from lightning_dc.errors import InputError

Missing = Literal["error", "mean", "median", "most_frequent", "regression"]
Unseen = Literal["error", "zeros"]
Fill = Mapping[str, float | str]

_REMEDY = "name it in categorical or in drop, or mend the value"


class TableEncoding:
    """Encoding that keeps numeric columns, makes categorical ones one-hot, and replaces or refuses missing values.

    Args:
        columns: categories of each column, in the order of the inputs; None for a numeric column.
        fill: value that replaces a missing one, by column; a missing value of another column is refused.
        spare: values that may replace a missing one of a column without a ``fill``, by column and treatment; None for
            none.
        readings: how columns are read whose roles were guessed, by column, as :meth:`Reading.state_dict` gives it; None
            for none. A category that such a column has not learned becomes zeros, which is told.
        normal: distribution by which missing inputs of columns without a ``fill`` are replaced, as
            :meth:`Normal.state_dict` gives it; None for none.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[str] | None],
        fill: Mapping[str, float | str],
        spare: Mapping[str, Mapping[str, float | str]] | None = None,
        readings: Mapping[str, Mapping[str, Any]] | None = None,
        normal: Mapping[str, Any] | None = None,
    ) -> None:
        self.columns = {name: None if found is None else list(found) for name, found in columns.items()}
        self.fill = dict(fill)
        self.spare = {name: dict(values) for name, values in (spare or {}).items()}
        self.readings = {name: Reading(**reading) for name, reading in (readings or {}).items()}
        self.normal = None if normal is None else Normal(**normal)

    @classmethod
    def learn(
        cls,
        table: Any,
        names: Sequence[str],
        categorical: Sequence[str],
        rows: Any,
        missing: Missing,
        path: Path,
        readings: Mapping[str, Reading] | None = None,
    ) -> TableEncoding:
        """Learn the categories and the values that replace missing ones.

        Args:
            table: a ``pyarrow.Table``.
            names: columns of the table that are inputs.
            categorical: inputs that are categorical.
            rows: training rows, (n,); None for all.
            missing: ``error`` refuses missing values, but learns what could replace them in new rows. Otherwise they
                are replaced by a value of the training rows: in a numeric column by the ``mean``, the ``median`` or the
                ``most_frequent`` value, and in a categorical column by the most frequent one. If several values are
                most frequent, the smallest is taken. ``regression`` replaces them by the value that the other inputs of
                the row let expect (:class:`Normal`); of more than 100 inputs, by the median.
            path: the file, for messages.
            readings: how columns are read whose roles were guessed; None for none. They say themselves whether a column
                is categorical.

        Raises:
            InputError: a column has no value in the training rows, too many categories, or values of another type.
        """
        columns: dict[str, list[str] | None] = {}
        spare: dict[str, dict[str, float | str]] = {}
        training = table if rows is None else table.take(rows)
        readings = readings or {}
        is_categorical = {*categorical, *(name for name, reading in readings.items() if reading.is_categorical)}
        for name in names:
            values: Any
            if name in is_categorical:
                found = _read_strings(training[name], name, path, readings.get(name))
                values = [value for value in found if value is not None]
                columns[name] = sort_distinct(values)
                if len(set(values)) > MOST_CATEGORIES:
                    raise InputError(
                        f"{path}: column {name!r} holds {len(set(values))} categories; drop it, or give it as numbers"
                    )
            else:
                values = _read_numbers(training[name], name, path, readings.get(name))
                values = values[~np.isnan(values)]
                columns[name] = None
            if len(values) == 0:
                raise InputError(f"{path}: column {name!r} has no value in the training rows; name it in drop")
            spare[name] = _fills(values)
        states = {name: reading.state_dict() for name, reading in readings.items()}
        if missing == "error":
            return cls(columns, {}, spare, states)
        n_inputs = sum(1 if found is None else len(found) for found in columns.values())
        if missing != "regression" or n_inputs > MOST_INPUTS:
            treatment = "median" if missing == "regression" else missing
            return cls(columns, {name: values[treatment] for name, values in spare.items()}, {}, states)
        encoding = cls(columns, {}, {}, states)
        encoding.normal = Normal.learn(encoding._encoded(training, path, "error", dict.fromkeys(columns, math.nan)))
        return encoding

    @property
    def feature_names(self) -> list[str]:
        """Name of each input: that of its column, with the category of a one-hot input, as in ``colour=red``.

        The name of an input on a logarithmic scale, or of the age of a date, tells so.
        """
        names: list[str] = []
        for name, categories in self.columns.items():
            if categories is not None:
                names += [f"{name}={category}" for category in categories]
            else:
                names.append(self.readings[name].input_name(name) if name in self.readings else name)
        return names

    @property
    def feature_groups(self) -> list[list[int]]:
        """Inputs that belong to each column."""
        groups, start = [], 0
        for categories in self.columns.values():
            stop = start + (1 if categories is None else len(categories))
            groups.append(list(range(start, stop)))
            start = stop
        return groups

    def __call__(self, table: Any, path: Path, unseen: Unseen, missing: Missing = "error") -> NDArray[Any]:
        """Encode the rows of a table.

        Args:
            table: a ``pyarrow.Table`` with all the columns, in any order.
            path: the file, for messages.
            unseen: treatment of a category that has not been learned: ``error`` refuses it, and ``zeros`` gives it
                zeros for all categories of its column.
            missing: treatment of missing values in columns for which none was chosen in training: ``error`` refuses
                them, and the others replace them by that value of the training rows.

        Returns:
            Inputs, (N, F), float32 if that holds the type of each column exactly, otherwise float64.

        Raises:
            InputError: a value is missing, unseen or of another type; the message names column and row, from 0.
        """
        fill = {**{name: values[missing] for name, values in self.spare.items() if missing in values}, **self.fill}
        if self.normal is None:
            return self._encoded(table, path, unseen, fill)
        x = self._encoded(table, path, unseen, dict.fromkeys(self.columns, math.nan))
        self.normal.fill(x)
        return x

    def _encoded(self, table: Any, path: Path, unseen: Unseen, fill: Fill) -> NDArray[Any]:
        """Return the inputs, (N, F), in which missing values are replaced; NaN makes all inputs of the column NaN."""
        parts: list[NDArray[Any]] = []
        for name, categories in self.columns.items():
            if categories is None:
                parts.append(self._numbers(table[name], name, path, fill)[:, None])
            else:
                parts.append(self._one_hot(table[name], name, categories, path, unseen, fill))
        return np.concatenate(parts, axis=1)

    def _numbers(self, column: Any, name: str, path: Path, fill: Fill) -> NDArray[Any]:
        values = _read_numbers(column, name, path, self.readings.get(name))
        missing = np.isnan(values)
        if missing.any():
            if name not in fill:
                raise self._is_missing(path, name, int(missing.argmax()))
            values[missing] = fill[name]
        return values

    def _one_hot(
        self, column: Any, name: str, categories: Sequence[str], path: Path, unseen: Unseen, fill: Fill
    ) -> NDArray[np.float32]:
        number = {name: i for i, name in enumerate(categories)}
        values = _read_strings(column, name, path, self.readings.get(name))
        value: float | str | None
        new: list[str] = []
        one_hot = np.zeros((len(values), len(categories)), np.float32)
        for row, value in enumerate(values):
            if value is None:
                if name not in fill:
                    raise self._is_missing(path, name, row)
                value = fill[name]
            if isinstance(value, float):
                one_hot[row] = value
                continue
            category = number.get(value)
            if category is not None:
                one_hot[row, category] = 1
            elif name in self.readings:
                new.append(value)
            elif unseen == "error":
                raise InputError(
                    f"{path}: column {name!r} holds {value!r} in row {row}, which no training row has; set unseen to "
                    "zeros, or leave the row out"
                )
        if new:
            tell(
                f"{path}: column {name!r} holds {quote_first(sort_distinct(new), 4)}, which no training row has; "
                f"{'it becomes' if len(set(new)) == 1 else 'they become'} zeros ({len(new)} rows)"
            )
        return one_hot

    def state_dict(self) -> dict[str, Any]:
        """Return the categories of the columns, what replaces missing values and how columns are read."""
        return {
            "columns": self.columns,
            "fill": self.fill,
            "spare": self.spare,
            "readings": {name: reading.state_dict() for name, reading in self.readings.items()},
            "normal": None if self.normal is None else self.normal.state_dict(),
        }

    def _is_missing(self, path: Path, name: str, row: int) -> InputError:
        remedy = "set missing to mean, median or most_frequent"
        if not self.spare:  # a checkpoint of an earlier version
            remedy = "train again with missing set to mean, median or most_frequent"
        return InputError(f"{path}: column {name!r} has no value in row {row}; {remedy}, or leave the row out")


def sort_distinct(values: Iterable[str]) -> list[str]:
    """Return the distinct values in order, by their numbers if all of them are numbers, otherwise by their text.

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


def _read_strings(column: Any, name: str, path: Path, reading: Reading | None) -> list[str | None]:
    return as_strings(column, name, path) if reading is None else reading.texts(column, name, path)


def _read_numbers(column: Any, name: str, path: Path, reading: Reading | None) -> NDArray[Any]:
    if reading is not None:
        return reading.inputs(column, name, path)
    values: NDArray[Any] = as_numbers(column, name, path, _REMEDY)
    return values


def _fills(values: Any) -> dict[str, float | str]:
    """Return the values that may replace a missing one, by treatment."""
    if isinstance(values, list):
        counts = Counter(values)
        most_frequent = max(sort_distinct(values), key=counts.__getitem__)  # the first one if there are several
        return dict.fromkeys(("mean", "median", "most_frequent"), most_frequent)
    distinct, n_times = np.unique(values, return_counts=True)
    return {
        "mean": float(np.mean(values, dtype=np.float64)),
        "median": float(np.median(values.astype(np.float64))),
        "most_frequent": float(distinct[n_times.argmax()]),
    }
