"""Dialect of a CSV file: delimiter, decimal sign and header, given by the user or guessed from the first rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datamodules.messages import tell
from datamodules.tables.header import NUMBER, guess_header
from lightning_dc.errors import InputError

Decimal = Literal[".", ","]
_DELIMITERS = (",", ";", "\t", "|")
_MOST_RECORDS = 200  # that are looked at
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class CsvFormat:
    """Format of a CSV file as the user gives it; what is None is guessed.

    Args:
        delimiter: character between the fields of a line.
        decimal: decimal sign of the numbers, a point or a comma.
        header: whether the first line holds the names of the columns.
        encoding: encoding of the text. A byte order mark at the beginning of a file goes before it.
    """

    delimiter: str | None = None
    decimal: Decimal | None = None
    header: bool | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise InputError(f"delimiter={self.delimiter!r} must be one character")
        if self.decimal not in (None, ".", ","):
            raise InputError(f"decimal={self.decimal!r} is unknown; choose from '.', ','")
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise InputError(f"encoding={self.encoding!r} is unknown; utf-8 and latin-1 are common") from error


@dataclass(frozen=True)
class Dialect:
    """Dialect of a CSV file.

    Args:
        delimiter: character between the fields of a line.
        decimal: decimal sign of the numbers.
        names: names of the columns.
        header: whether the first line holds the names.
    """

    delimiter: str
    decimal: str
    names: list[str]
    header: bool

    @classmethod
    def of(cls, head: str, path: Path, wanted: CsvFormat, default: str, known: Sequence[str] | None) -> Dialect:
        """Find the dialect of a file, and tell the user what has been guessed.

        Args:
            head: beginning of the file, in whole lines.
            path: the file, for messages.
            wanted: format that the user gives.
            default: delimiter that the ending of the file stands for.
            known: columns of the file that a model was trained on; None if nothing has been learned. A first line that
                holds them is the header.

        Raises:
            InputError: the first line may be a header or a row.
        """
        delimiter = wanted.delimiter or _guess_delimiter(head, default)
        records = _records(head, delimiter)
        decimal = wanted.decimal or _guess_decimal(records, delimiter)
        header = wanted.header
        if header is None:
            header = guess_header(records, path, known)
        if wanted.delimiter is None and delimiter != default:
            tell(f"{path}: is read with delimiter={delimiter!r}; set delimiter if it is another")
        if wanted.decimal is None and decimal != ".":
            tell(f"{path}: is read with decimal={decimal!r}, the sign in its numbers; set decimal if it is another")
        return cls(delimiter, decimal, _names(records, header), header)


def _guess_delimiter(head: str, default: str) -> str:
    """Guess the delimiter, with which all records have as many fields, and most of these are numbers."""
    order = [default, *(other for other in _DELIMITERS if other != default)]
    records = {delimiter: _records(head, delimiter) for delimiter in order}
    fitting = {delimiter: _numeric_share(found) for delimiter, found in records.items() if _is_regular(found)}
    if fitting:
        return max(fitting, key=fitting.__getitem__)  # the first of equal ones
    widths = {delimiter: len(found[0]) if found else 0 for delimiter, found in records.items()}
    return max(widths, key=widths.__getitem__) if widths[default] == 1 else default


def _is_regular(records: Sequence[Sequence[str]]) -> bool:
    """Tell whether all records have the same number of fields, at least two; the first may lack one."""
    widths = {len(record) for record in records[1:] or records}
    return len(widths) == 1 and min(widths) >= 2 and len(records[0]) >= 2 and min(widths) - len(records[0]) in (0, 1)


def _numeric_share(records: Sequence[Sequence[str]]) -> float:
    fields = [field for record in records[1:] or records for field in record]
    return sum(bool(NUMBER.fullmatch(field)) for field in fields) / len(fields)


def _records(head: str, delimiter: str) -> list[list[str]]:
    """Return the first records of a file, without empty lines, as far as they can be parsed."""
    records: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter):
            if record:
                records.append(record)
            if len(records) == _MOST_RECORDS:
                break
    except csv.Error:  # a field of more than 128 KiB; the parser of the whole file has no such limit
        return records
    return records


def _guess_decimal(records: Sequence[Sequence[str]], delimiter: str) -> str:
    """Guess the decimal sign, which is a comma if numbers have commas and none has a point."""
    if delimiter == ",":
        return "."
    fields = [field.strip() for record in records for field in record]
    has_comma = any(_COMMA.fullmatch(field) for field in fields)
    return "," if has_comma and not any(_POINT.fullmatch(field) for field in fields) else "."


def _names(records: Sequence[Sequence[str]], header: bool) -> list[str]:
    """Return the names of the columns; those without a name are called as pandas does."""
    if not records:
        return []
    if not header:
        return [f"f{i}" for i in range(len(records[0]))]
    names = list(records[0])
    below = records[1:]
    if below and all(len(record) == len(names) + 1 for record in below):  # one name is missing
        ends_in_delimiter = all(record[-1] == "" for record in below)
        names = [*names, ""] if ends_in_delimiter else ["", *names]  # R writes no name for the row names
    for i in (i for i, name in enumerate(names) if not name):
        named = (f"Unnamed: {i}", *(f"Unnamed: {i}.{k}" for k in range(1, len(names) + 1)))
        names[i] = next(name for name in named if name not in names)
    return names
