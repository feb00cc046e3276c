"""Way in which a column of a table becomes inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.messages import quote_first, tell
from datamodules.tables.date_text import describe_date_format, read_dates, without_placeholders
from datamodules.tables.number_text import plain_numbers, read_numbers
from datamodules.tables.texts import Texts
from datamodules.tables.values import decode, first_text, holds_numbers, list_numbers
from lightning_dc.errors import InputError

_EPOCH = 719_163  # of Arrow's dates, in days as of date.toordinal


@dataclass(frozen=True)
class Reading:
    """Way in which a column becomes inputs, as guessed from the training file.

    Args:
        kind: ``number``; ``date``, whose input is its age in days; ``category``; or ``flag``, a category whose words
            may be in upper or lower case.
        log: ln(1 + x) of the number, or of the age, is the input.
        decimal: decimal sign of numbers that are written as text.
        date_format: format of dates that are written as text, as of ``datetime.strptime``.
        newest: newest date of the training rows, in days as of ``date.toordinal``.
        words: words that stand for a missing number or date.
        kept: words of a category, in lower case, that stand for a missing value elsewhere, such as ``none`` or ``-``.
    """

    kind: Literal["number", "date", "category", "flag"]
    log: bool = False
    decimal: str = "."
    date_format: str = "%Y-%m-%d"
    newest: int = 0
    words: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # which earlier versions have not written

    @property
    def is_categorical(self) -> bool:
        """True if the column becomes one-hot inputs."""
        return self.kind in ("category", "flag")

    def input_name(self, column: str) -> str:
        """Return the name of the input of a number or date, which tells its unit.

        Example:
            >>> Reading("number", log=True).input_name("income"), Reading("date").input_name("joined")
            ('log1p(income)', 'joined: days before newest')
        """
        name = f"{column}: days before newest" if self.kind == "date" else column
        return f"log1p({name})" if self.log else name

    def state_dict(self) -> dict[str, Any]:
        """Return the arguments as Python primitives."""
        return {**vars(self), "words": list(self.words), "kept": list(self.kept)}

    def texts(self, column: Any, name: str, path: Path) -> list[str | None]:
        """Return the categories of the rows; None where missing.

        Raises:
            InputError: the column holds no values of a category.
        """
        texts = Texts.of(column, name, path, self.kept)
        if self.kind == "flag":
            texts = texts._replace(values=[value.casefold() for value in texts.values])
        return texts.to_list()

    def inputs(self, column: Any, name: str, path: Path) -> NDArray[np.float64]:
        """Return the inputs of a number or date.

        Args:
            column: a column of a ``pyarrow.Table``.
            name: its name.
            path: its file, for messages.

        Returns:
            Inputs, (N,), NaN where missing or infinite. Days are negative for dates after the newest one of the
            training rows. On the logarithmic scale these and negative numbers, which no training row has, count as 0.

        Raises:
            InputError: a value is neither a number or date of this kind nor missing; the message names its row, from 0.
        """
        values = self.raw(column, name, path)
        if self.kind == "date":
            values = self.newest - values
        if not self.log:
            return values
        if self.kind == "number" and (values < 0).any():
            tell(f"{path}: negative values of column {name!r}, which no training row has, are taken for 0")
        return np.log1p(np.maximum(values, 0.0))

    def raw(self, column: Any, name: str, path: Path) -> NDArray[np.float64]:
        """Return the numbers, or the days as of ``date.toordinal``, as they are written, (N,), NaN where missing.

        Raises:
            InputError: see :meth:`inputs`.
        """
        column = decode(column)
        if column.null_count == len(column):  # whatever the type, which Arrow cannot know
            return np.full(len(column), np.nan)
        if self.kind == "date" and is_date_type(column.type):
            return days_of(column)
        if self.kind == "number" and holds_numbers(column.type):
            values = list_numbers(column).astype(np.float64)
        elif is_text_type(column.type):
            plain = plain_numbers(column) if self.kind == "number" and self.decimal == "." else None
            values = self._of_text(Texts.of(column, name, path), name, path) if plain is None else plain
        else:
            raise InputError(
                f"{path}: column {name!r} holds {first_text(column)}, but a {self.kind} in the training data; mend it"
            )
        infinite = np.isinf(values)
        if infinite.any():
            tell(f"{path}: infinite values of column {name!r} are taken for missing ({int(infinite.sum())} rows)")
            values[infinite] = np.nan
        return values

    def parse(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the number of each text, or the days as of ``date.toordinal``; NaN where it is none."""
        if self.kind == "date":
            return read_dates(texts, self.date_format)
        return read_numbers(texts, self.decimal)

    def describe(self) -> str:
        """Return what is special about the values, for the user; an empty string if nothing is."""
        parts = [describe_date_format(self.date_format)] if self.kind == "date" else []
        parts += ["decimal comma"] if self.kind == "number" and self.decimal == "," else []
        parts += [f"{quote_first(self.words)} as missing"] if self.words else []
        parts += [f"{quote_first(self.kept)} as a category"] if self.kept else []
        return ", ".join(parts)

    def _of_text(self, texts: Texts, name: str, path: Path) -> NDArray[np.float64]:
        parsed = self.parse(texts.values)
        for code in np.unique(texts.codes[np.isnan(texts.spread(parsed)) & (texts.codes >= 0)]).tolist():
            if texts.values[code] not in self.words:
                wanted = "number"
                if self.kind == "date":
                    wanted = f"date as {describe_date_format(self.date_format)}"
                raise InputError(
                    f"{path}: column {name!r} holds {texts.values[code]!r} in row {texts.row_of(code)}, no {wanted} as "
                    "in the training data; mend the value, or leave the row out"
                )
        return texts.spread(parsed)


def is_text_type(kind: Any) -> bool:
    """Tell whether an Arrow type is one of text."""
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def is_date_type(kind: Any) -> bool:
    """Tell whether an Arrow type is one of dates, with or without a time of day."""
    from pyarrow import types

    return bool(types.is_date(kind) or types.is_timestamp(kind))


def days_of(column: Any) -> NDArray[np.float64]:
    """Return the days of dates of an Arrow type, as of ``date.toordinal``, (N,), NaN where missing."""
    import pyarrow as pa

    days = column.cast(pa.date32(), safe=False).cast(pa.int32()).cast(pa.float64())
    return without_placeholders(days.to_numpy(zero_copy_only=False) + _EPOCH)
