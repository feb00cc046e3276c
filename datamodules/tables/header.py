"""Guess whether the first line of a CSV file is a header or a row."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from datamodules.messages import quote_first, tell
from lightning_dc.errors import InputError

NUMBER = re.compile(r"\s*[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?\s*")
"""Form of a number, with a decimal point or comma."""

_MISSING = {"", "NA", "NaN", "nan", "null", "NULL", "N/A", "n/a", "#N/A"}
_GENERATED = re.compile("f[0-9]+")

Records = Sequence[Sequence[str]]


def guess_header(records: Records, path: Path, known: Sequence[str] | None) -> bool:
    """Guess whether the first record is a header.

    It is none if it holds numbers that look like those below it, or if its words come again below them. Numbers that
    are evenly spaced (``0,1,2``), or whole numbers above fractions, are names of columns.

    Args:
        records: first records of the file.
        path: the file, for messages.
        known: columns of the file that a model was trained on; None if nothing has been learned.

    Raises:
        InputError: the first record may be either.
    """
    if not records:
        return True
    first = records[0]
    if known:
        if set(known) <= set(first):
            return True
        if all(_GENERATED.fullmatch(name) for name in known):
            return any(_GENERATED.fullmatch(name) for name in first)
    verdict = _verdict(first, records[1:])
    if verdict is None:
        raise InputError(
            f"{path}: the first line, {quote_first(first, 4)}, may be a header or a row; set header to true or false"
        )
    has_numbers = any(NUMBER.fullmatch(field) for field in first)
    if not verdict:
        tell(f"{path}: has no header, so its columns are called f0, f1 and so on; set header to true if it has one")
    elif has_numbers and len(records) > 1:
        tell(f"{path}: the first line, {quote_first(first, 4)}, is the header; set header to false if it is a row")
    return verdict


def _verdict(first: Sequence[str], below: Records) -> bool | None:
    """Tell whether the first record is a header; None if it may be either."""
    words = [j for j, field in enumerate(first) if _is_word(field)]
    columns = [[record[j] for record in below if j < len(record)] for j in range(len(first))]
    has_numbers_below = any(NUMBER.fullmatch(field) for j in words for field in columns[j])
    if not below or (has_numbers_below and list(first) in [list(record) for record in below]):
        return True  # there is no row, or files with headers were put together
    numeric = [j for j, column in enumerate(columns) if _all_numbers([first[j]]) and _all_numbers(column)]
    repeated = [first[j] in columns[j] for j in words]
    if not numeric:
        return len(words) < max(2, len(first)) or not all(repeated)
    if any(repeated):
        return False
    names = [first[j] for j in numeric]
    if words:
        return True if not _any_fraction(names) else None
    return _numbers_are_names(names, [columns[j] for j in numeric])


def _numbers_are_names(names: Sequence[str], columns: Records) -> bool | None:
    """Tell whether numbers are names of columns; None if they may be values, too."""
    values = [float(name.replace(",", ".")) for name in names]
    steps = [b - a for a, b in itertools.pairwise(values)]
    evenly = len(steps) >= 1 and min(steps) > 0 and max(steps) - min(steps) <= 1e-6 * max(steps)
    if evenly and (len(steps) >= 2 or values == [0.0, 1.0]):
        return True
    if _any_fraction(names) or len(set(values)) < len(values):
        return None if len(steps) >= 4 and min(steps) > 0 else False  # wave lengths ascend
    return True if all(map(_any_fraction, columns)) else None


def _any_fraction(fields: Sequence[str]) -> bool:
    return any(re.search("[.,eE]", field) for field in fields)


def _all_numbers(fields: Sequence[str]) -> bool:
    """Tell whether fields are numbers or missing, and not all of them missing."""
    known = [field for field in fields if field.strip() not in _MISSING]
    return bool(known) and all(NUMBER.fullmatch(field) for field in known)


def _is_word(field: str) -> bool:
    return field.strip() not in _MISSING and not NUMBER.fullmatch(field)
