"""Names and patterns of columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from datamodules.messages import as_list, quote_first
from lightning_dc.errors import InputError

_ELEMENT = re.compile(r"(.*)\[[0-9]+\]", re.DOTALL)  # of a column of lists


def check_unique_columns(names: Sequence[str], path: Path) -> None:
    """Check that no two columns have the same name.

    Raises:
        InputError: two columns have the same name.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"{path}: has more than one column named {twice[0]!r}; rename one")


def match_columns(patterns: str | Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns that a name or pattern (``gene_*``) matches, in the order of the table.

    Example:
        >>> match_columns(["gene_*", "age"], ["id", "age", "gene_a", "gene_b"])
        ['age', 'gene_a', 'gene_b']
    """
    return [name for name in names if any(_matches(name, pattern) for pattern in as_list(patterns))]


def check_columns(argument: str, patterns: str | Sequence[str], names: Sequence[str], path: Path) -> None:
    """Check that each name or pattern matches a column.

    Args:
        argument: name of the argument that holds the names and patterns, for messages.
        patterns: the names and patterns.
        names: columns of the table.
        path: its file, for messages.

    Raises:
        InputError: a name or pattern matches no column.
    """
    for pattern in as_list(patterns):
        if not any(_matches(name, pattern) for name in names):
            raise InputError(f"{argument}={pattern!r} matches no column of {path}, which has {quote_first(names)}")


def require_column(argument: str, name: str | None, names: Sequence[str], path: Path) -> None:
    """Check that a table has a column.

    Args:
        argument: name of the argument that names the column, for messages.
        name: the column; None needs no column.
        names: columns of the table.
        path: its file, for messages.

    Raises:
        InputError: the table has no such column.
    """
    if name is not None and name not in names:
        raise InputError(f"{argument}={name!r} is no column of {path}, which has {quote_first(names)}")


def is_element(name: str) -> bool:
    """Tell whether a column has the name of an input that a column of lists becomes, such as ``embedding[0]``."""
    return _ELEMENT.fullmatch(name) is not None


def _matches(name: str, pattern: str) -> bool:
    """Tell whether a pattern matches a column; the name of a column of lists matches each input of it."""
    element = _ELEMENT.fullmatch(name)
    return name == pattern or (element is not None and element[1] == pattern) or fnmatchcase(name, pattern)
