"""Schema of a table, and labels, ids and targets that are read by it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.tables.encoding import TableEncoding, sort_distinct
from datamodules.tables.roles import Roles
from datamodules.tables.values import as_numbers, as_strings
from lightning_dc.batch import UNLABELLED, TargetSpec
from lightning_dc.errors import InputError

_INTEGER = re.compile("0|-?[1-9][0-9]{0,17}")  # others, such as 007, would not be written as they were read
_REMEDY = "name another column, or mend the value"


@dataclass(frozen=True)
class TableSchema:
    """Roles of the columns, encoding of the inputs, and classes, as learned from the training file.

    Args:
        roles: roles of the columns.
        encoding: encoding of the inputs.
        classes: names of the classes of the label.
        target_classes: names of the classes of a ``class`` target.
        left_out: columns of the training file that were guessed to be no inputs.
        id_is_guessed: the column of the ids was guessed, so new rows need not have ids in it.
    """

    roles: Roles
    encoding: TableEncoding
    classes: list[str]
    target_classes: list[str]
    left_out: list[str] = field(default_factory=list)
    id_is_guessed: bool = False

    @classmethod
    def restore(cls, state: dict[str, Any]) -> TableSchema:
        """Return the schema whose :meth:`state_dict` is given."""
        return cls(
            Roles(**state["roles"]),
            TableEncoding(**state["encoding"]),
            state["classes"],
            state["targets"],
            state.get("left_out", []),  # which earlier versions have not written
            state.get("id_is_guessed", False),  # likewise
        )

    def state_dict(self) -> dict[str, Any]:
        """Return roles, encoding and classes as Python primitives."""
        return {
            "roles": asdict(self.roles),
            "encoding": self.encoding.state_dict(),
            "classes": self.classes,
            "targets": self.target_classes,
            "left_out": self.left_out,
            "id_is_guessed": self.id_is_guessed,
        }

    @property
    def target_spec(self) -> TargetSpec | None:
        """Description of the targets; None without targets."""
        if self.roles.target == "none":
            return None
        names = {"class": self.target_classes, "survival": ["time", "event"]}
        return TargetSpec(self.roles.target, tuple(names.get(self.roles.target, self.roles.target_columns)))


def read_classes(table: Any, column: str, path: Path, at_least: int = 1) -> list[str]:
    """Read the names of the classes of a column, which are its distinct values in order.

    Args:
        table: a ``pyarrow.Table``.
        column: name of the column.
        path: file of the table, for messages.
        at_least: number of classes that are needed.

    Raises:
        InputError: the column has fewer classes.
    """
    classes = sort_distinct(value for value in as_strings(table[column], column, path) if value is not None)
    if len(classes) < at_least:
        raise InputError(f"{path}: column {column!r} holds {len(classes)} classes, fewer than {at_least}; name another")
    return classes


def read_labels(table: Any, column: str | None, classes: Sequence[str], path: Path) -> NDArray[np.int64]:
    """Read the class of each row as its number.

    Args:
        table: a ``pyarrow.Table``.
        column: name of the column of the classes.
        classes: names of the known classes. Other classes get the numbers after them.
        path: file of the table, for messages.

    Returns:
        Classes, (N,), -1 where missing.
    """
    values = as_strings(table[column], str(column), path)
    new = [
        value for value in sort_distinct(value for value in values if value is not None) if value not in set(classes)
    ]
    number = {value: i for i, value in enumerate([*classes, *new])}
    return np.array([UNLABELLED if value is None else number[value] for value in values], dtype=np.int64)


def read_ids(table: Any, column: str | None, path: Path) -> NDArray[Any]:
    """Read the ids of the rows.

    Returns:
        Ids, (N,): integers if all of them are written as integers, otherwise strings.

    Raises:
        InputError: an id is missing or comes twice; the message names its rows, from 0.
    """
    ids = as_strings(table[column], str(column), path)
    seen: dict[str, int] = {}
    for row, value in enumerate(ids):
        if value is None:
            raise InputError(f"{path}: column {column!r} has no id in row {row}; give one to each")
        if value in seen:
            raise InputError(
                f"{path}: column {column!r} holds the id {value!r} twice, in rows {seen[value]} and {row}; make them "
                "unique"
            )
        seen[value] = row
    if all(_INTEGER.fullmatch(value) for value in seen):
        return np.array([int(value) for value in seen])
    return np.array(list(seen))


def read_row_ids(table: Any, columns: Sequence[str], path: Path) -> NDArray[Any] | None:
    """Read ids from columns that number or name the rows.

    Args:
        table: a ``pyarrow.Table``.
        columns: names of such columns.
        path: file of the table, for messages.

    Returns:
        Values of the first column that has another one in each row, (N,); None if there is none, or if they are the
        numbers of the rows, from 0.
    """
    for column in columns:
        try:
            ids = read_ids(table, column, path)
        except InputError:  # a value is missing, comes twice, or is neither text nor number
            continue
        if ids.dtype.kind != "i" or not np.array_equal(ids, np.arange(len(ids))):
            return ids
    return None


def read_targets(table: Any, schema: TableSchema, path: Path) -> NDArray[Any] | None:
    """Read the targets of the rows, as in :class:`~lightning_dc.batch.Batch`.

    If either the time or the event of a row is missing, both are.

    Returns:
        Targets, (N,) for classes, otherwise (N, T); None if all of them are missing.

    Raises:
        InputError: a value cannot be a target of the kind; the message names column and row, from 0.
    """
    roles = schema.roles
    if roles.target == "class":
        column = roles.target_columns[0]
        labels = read_labels(table, column, schema.target_classes, path)
        if labels.max() >= len(schema.target_classes):
            row = int((labels >= len(schema.target_classes)).argmax())
            raise InputError(
                f"{path}: column {column!r} holds {str(table[column][row])!r} in row {row}, a class that the training "
                "data had not; leave the row out"
            )
        return labels if labels.max() >= 0 else None
    columns = [as_numbers(table[name], name, path, _REMEDY).astype(np.float64) for name in roles.target_columns]
    for name, values in zip(roles.target_columns, columns, strict=True):
        binary = roles.target == "multilabel" or (roles.target == "survival" and name == roles.target_columns[1])
        if binary:
            _check_none(~np.isin(values, (0, 1)) & ~np.isnan(values), values, name, path, "0 and 1 only")
        elif roles.target == "survival":
            _check_none(values < 0, values, name, path, "times from 0 on")
    targets = np.stack(columns, axis=1)
    if roles.target == "survival":
        targets[np.isnan(targets).any(axis=1)] = np.nan
    return None if np.isnan(targets).all() else targets


def _check_none(bad: NDArray[np.bool_], values: NDArray[Any], name: str, path: Path, wanted: str) -> None:
    """Check that no value of a column is marked as bad; the message names the first one."""
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{path}: column {name!r} holds {values[row]:g} in row {row}; it must hold {wanted}")
