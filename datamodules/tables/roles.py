"""Roles of the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from datamodules.messages import check_all
from datamodules.tables.columns import check_columns, match_columns, require_column

Target = Literal["none", "class", "multilabel", "value", "survival"]


@dataclass(frozen=True)
class Roles:
    """Roles of the columns of a table.

    Args:
        columns: names or patterns of the inputs; None for all columns that have no other role.
        drop: names or patterns of columns that are not inputs.
        categorical: names or patterns of inputs that are categorical.
        label: column of the classes, for evaluation; None for no classes.
        target: kind of the target.
        target_columns: columns of the target; of ``survival`` the time and the event.
        id_column: column of the ids; None for no ids.
    """

    columns: list[str] | None
    drop: list[str]
    categorical: list[str]
    label: str | None
    target: Target
    target_columns: list[str]
    id_column: str | None

    @property
    def text_columns(self) -> list[str]:
        """Columns of classes and ids, which are text even if they look like numbers, such as ``01``."""
        classes = self.target_columns if self.target == "class" else []
        return [*classes, *(name for name in (self.label, self.id_column) if name is not None)]

    @property
    def reserved(self) -> list[str]:
        """Columns of targets, classes and ids, which are not inputs."""
        return [*self.target_columns, *(name for name in (self.label, self.id_column) if name is not None)]

    def inputs(self, names: Sequence[str], row_numbers: Sequence[str]) -> list[str]:
        """Return the columns that are inputs, in the order of the table.

        Args:
            names: columns of the table.
            row_numbers: those of them that number the rows, which are inputs only if ``columns`` names them.
        """
        chosen = list(names) if self.columns is None else match_columns(self.columns, names)
        others = {*self.reserved, *match_columns(self.drop, names), *set(row_numbers).difference(self.columns or [])}
        return [name for name in chosen if name not in others]

    def checked(self, names: Sequence[str], path: Path) -> Roles:
        """Check that the columns are those of a table, and return the roles with the names of the target columns.

        Args:
            names: columns of the table.
            path: its file, for messages.

        Raises:
            InputError: a name or pattern matches no column; the message tells all of them.
        """
        patterns = [("columns", self.columns or []), ("drop", self.drop)]
        columns = [("label", self.label), ("id_column", self.id_column)]
        by_pattern = self.target in ("multilabel", "value")
        if by_pattern:
            patterns.append(("target_columns", self.target_columns))
        else:
            columns += [("target_columns", name) for name in self.target_columns]
        checks = [partial(check_columns, argument, wanted, names, path) for argument, wanted in patterns]
        checks += [partial(require_column, argument, name, names, path) for argument, name in columns]
        check_all(checks)
        if by_pattern:
            return replace(self, target_columns=match_columns(self.target_columns, names))
        return self
