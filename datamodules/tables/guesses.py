"""Roles of all columns of a table that the user has given no role."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.messages import quote_first
from datamodules.tables.columns import is_element, match_columns
from datamodules.tables.encoding import TableEncoding
from datamodules.tables.guess import ColumnGuesser, Guess, file_decimal
from datamodules.tables.reading import Reading
from datamodules.tables.roles import Roles
from lightning_dc.errors import InputError

_MOST_ROWS = 40
_MOST_CHARACTERS = 40  # of the name of a column
_ENTERS = {  # what a column without inputs is for
    "id": "no input",
    "label": "no input; --data.label names it for evaluation",
    "row number": "no input",
}


@dataclass(frozen=True)
class Guesses:
    """Roles of all columns that might be inputs.

    Args:
        path: file of the table, for messages.
        columns: what each column was taken for, in the order of the table.
        id_column: column of the ids; None for no ids.
    """

    path: Path
    columns: Mapping[str, Guess]
    id_column: str | None

    @classmethod
    def of(
        cls, table: Any, roles: Roles, row_numbers: Sequence[str], rows: Any, decimal: str | None, path: Path
    ) -> Guesses:
        """Guess the roles of the columns that the user has given none.

        Args:
            table: a ``pyarrow.Table``.
            roles: roles that the user has given.
            row_numbers: columns that number the rows.
            rows: training rows, (n,); None for all.
            decimal: decimal sign that the user has given; None guesses it.
            path: the file, for messages.

        Raises:
            InputError: no column is left for the inputs.
        """
        names = table.column_names
        inputs = roles.inputs(names, ())
        numbering = set(row_numbers).difference(roles.columns or [])
        categorical = set(match_columns(roles.categorical, inputs)) if roles.categorical else set()
        decimal = decimal or file_decimal(table, inputs, path)
        listed = frozenset([*(roles.columns or []), *filter(is_element, names)])
        guesser = ColumnGuesser(path, names, listed, rows, decimal)
        columns: dict[str, Guess] = {}
        for name in inputs:
            if name in numbering:
                columns[name] = Guess("row number")
            elif name in categorical:
                columns[name] = guesser.category(name, table[name])
            else:
                columns[name] = guesser(name, table[name])
        ids = [name for name, guess in columns.items() if guess.role == "id"]
        guesses = cls(path, columns, roles.id_column or (ids[0] if ids else None))
        guesses._check_inputs()
        return guesses

    @property
    def readings(self) -> dict[str, Reading]:
        """How each input is read."""
        return {name: guess.reading for name, guess in self.columns.items() if guess.reading is not None}

    @property
    def left_out(self) -> list[str]:
        """Columns that are no inputs."""
        return [name for name, guess in self.columns.items() if guess.reading is None]

    def summary(self, encoding: TableEncoding, missing: str) -> str:
        """Return a table of the columns for the user, with the way to change it.

        Args:
            encoding: the encoding of the inputs.
            missing: the treatment of missing values in columns of numbers that have a ``fill``.
        """
        from tabulate import tabulate

        sizes = dict(zip(encoding.columns, map(len, encoding.feature_groups), strict=True))
        shown = list(self.columns)[:_MOST_ROWS]
        fills = encoding.fill
        rows = [(_shorten(name), *self._row(name, sizes.get(name, 0), fills.get(name), missing)) for name in shown]
        lines = [f"{self.path}: what each column was taken for"]
        lines.append(tabulate(rows, ("column", "taken for", "inputs", "filled in"), "simple", disable_numparse=True))
        others = Counter(guess.role for name, guess in list(self.columns.items())[_MOST_ROWS:])
        if others:
            counts = ", ".join(f"{count} {role}" for role, count in others.most_common())
            lines.append(f"and {sum(others.values())} more columns: {counts}")
        lines.append(
            "Change it by --data.drop, --data.categorical, --data.id_column, --data.label and --data.columns (a column "
            "named there is no id), or decide everything by --data.guess_roles false."
        )
        return "\n".join(lines)

    def _row(self, name: str, n_inputs: int, fill: float | str | None, missing: str) -> tuple[str, str, str]:
        guess = self.columns[name]
        if guess.reading is None:
            chosen = ", written beside the clusters" if name == self.id_column else ""
            return guess.role, _ENTERS.get(guess.role, "left out") + chosen, ""
        details = guess.reading.describe()
        role = f"{guess.role} ({details})" if details else guess.role
        inputs = f"{n_inputs} one-hot"
        if not guess.reading.is_categorical:
            inputs = guess.reading.input_name(_shorten(name))
            inputs = "as it is" if inputs == _shorten(name) else inputs
        by = repr(fill) if isinstance(fill, str) else f"the {missing.replace('_', ' ')}"
        by = "regression" if fill is None else by
        return role, inputs, f"{guess.missing:.1%} by {by}" if guess.missing > 0 else ""

    def _check_inputs(self) -> None:
        if self.readings:
            return
        roles = Counter(guess.role for guess in self.columns.values())
        what = ", ".join(f"{count} {role}" for role, count in roles.most_common())
        one = ""
        if len(self.columns) == 1:
            one = " (the file has one column; if another character than a comma is between its fields, set delimiter)"
        raise InputError(
            f"{self.path}: no column is left for the inputs, since {quote_first(list(self.columns))} were taken for "
            f"{what}{one}; name inputs in categorical or one by one in columns, or set guess_roles to false"
        )


def _shorten(name: str) -> str:
    return name if len(name) <= _MOST_CHARACTERS else f"{name[: _MOST_CHARACTERS - 3]}..."
