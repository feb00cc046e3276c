"""All that keeps the columns of a table from being inputs, said at once, with the flags that mend it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.messages import quote_first
from datamodules.tables.values import as_numbers, first_text, holds_numbers
from lightning_dc.errors import InputError

MOST_CATEGORIES = 10_000
"""Largest number of categories that a column may have."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.%-]*( [A-Za-z0-9_.%-]+)*")
_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*")


@dataclass
class Complaints:
    """Complaints about the inputs of a table; each names its columns, with a description of the first bad value.

    Args:
        path: the file, for messages.
        scaling: name of the scaling, for messages.
    """

    path: Path
    scaling: str
    text: dict[str, str] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    infinite: dict[str, int] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    other: dict[str, str] = field(default_factory=dict)
    to_categorical: list[str] = field(default_factory=list)
    to_drop: list[str] = field(default_factory=list)
    to_id: list[str] = field(default_factory=list)
    has_commas: bool = False
    has_unseen: bool = False

    def look_at(self, name: str, column: Any, training: Any, *, categorical: bool, standard: bool) -> None:
        """Look at an input.

        Args:
            name: name of the column.
            column: all values of the column.
            training: values of the training rows.
            categorical: the input is categorical.
            standard: a column of one value is refused.
        """
        if holds_numbers(column.type) and not categorical:
            self._look_at_numbers(name, column, training, standard)
        elif _is_text(column.type) or categorical:
            self._look_at_text(name, column, training, categorical, standard)
        else:
            self.other[name] = first_text(column)
            self.to_drop.append(name)

    def _look_at_numbers(self, name: str, column: Any, training: Any, standard: bool) -> None:
        values, known = _finite(column), _finite(training)
        known = known[~np.isnan(known)]
        if len(known) == 0:
            self.empty.append(name)
            self.to_drop.append(name)
            return
        if np.isinf(values).any():
            self.infinite[name] = int(np.isinf(values).argmax())
            self.to_drop.append(name)
        elif standard and known.min() == known.max():
            self.constant.append(name)
            self.to_drop.append(name)
        if np.isnan(values).any():
            self.missing[name] = int(np.isnan(values).argmax())

    def _look_at_text(self, name: str, column: Any, training: Any, categorical: bool, standard: bool) -> None:
        try:
            values, known = _strings(column), [value for value in _strings(training) if value]
        except (ValueError, TypeError):  # of a type that has no text; the encoding names it
            return
        n_categories = len(set(known))
        if not known:
            self.empty.append(name)
            self.to_drop.append(name)
        elif standard and n_categories == 1 and categorical:
            self.constant.append(name)
            self.to_drop.append(name)
        elif not categorical:
            self.text[name] = first_text(column)
            self._choose_remedy(name, values, n_categories)
        if None in values and known and name not in self.to_drop:
            self.missing[name] = values.index(None)

    def _choose_remedy(self, name: str, values: Sequence[str | None], n_categories: int) -> None:
        """Choose between categories, ids, a decimal comma, and leaving the column out."""
        known = [value for value in values if value]
        if sum(bool(_COMMA.fullmatch(value)) for value in known) > len(known) / 2:
            self.has_commas = True
        elif len(set(known)) == len(values) and len(values) > 2 and not self.to_id:
            self.to_id.append(name)
        elif 1 < n_categories <= min(MOST_CATEGORIES, max(2, len(values) // 2)) and not _mostly_numbers(known):
            self.to_categorical.append(name)
            self.has_unseen |= n_categories < len(set(known))
        else:
            self.to_drop.append(name)

    def check(self, inputs: Sequence[str], arguments: dict[str, Any]) -> None:
        """Raise one error for all complaints.

        Args:
            inputs: names of all inputs.
            arguments: values of the arguments ``categorical``, ``drop``, ``missing`` and ``id_column`` now, and the
                number of columns of the table, ``n_columns``.

        Raises:
            InputError: there are complaints.
        """
        if arguments["missing"] != "error":
            self.missing = {}
        kinds = (self.text, self.other, self.missing, self.infinite, self.empty, self.constant)
        n_complaints = sum(len(kind) for kind in kinds)
        if n_complaints == 0 or set(self.constant) == set(inputs):
            return
        text = self._single() if n_complaints == 1 else self._several()
        if self.text and arguments["n_columns"] == 1:
            text += " (the file has one column; if another character than a comma is between its fields, set delimiter)"
        flags = self._flags(inputs, arguments)
        if flags:
            text += f"; --data.guess_roles true takes each column for what it looks like; for example {flags}"
        raise InputError(f"{self.path}: {text}")

    def _single(self) -> str:
        """Return the text of the only complaint."""
        for name, value in {**self.text, **self.other}.items():
            return f"column {name!r} holds {value}, not numbers; name it in categorical or in drop, or mend the value"
        for name, row in self.missing.items():
            return (
                f"column {name!r} has no value in row {row}; set missing to mean, median or most_frequent, or leave "
                "the row out"
            )
        for name, row in self.infinite.items():
            return f"column {name!r} holds an infinite value in row {row}; replace it"
        for name in self.empty:
            return f"column {name!r} has no value in the training rows; name it in drop"
        return (
            f"{self.constant[0]!r} hold one value only in the training rows, so scaling={self.scaling!r} would divide "
            "by 0; name them in drop, or use scaling='rms'"
        )

    def _several(self) -> str:
        """Return the text of several complaints."""
        parts = []
        no_numbers = {**self.text, **self.other}
        if no_numbers:
            first, *others = no_numbers
            like = f", and so {quote_first(others)}" if others else ""
            parts.append(
                f"column {first!r} holds {no_numbers[first]}, not numbers; name it in categorical or in drop{like}"
            )
        if self.missing:
            row = next(iter(self.missing.values()))
            parts.append(f"{quote_first(list(self.missing))} have no value in some rows (the first in row {row})")
        if self.infinite:
            row = next(iter(self.infinite.values()))
            parts.append(f"{quote_first(list(self.infinite))} hold an infinite value (in row {row})")
        if self.empty:
            parts.append(f"{quote_first(self.empty)} have no value in the training rows")
        if self.constant:
            parts.append(
                f"{quote_first(self.constant)} hold one value only in the training rows, so "
                f"scaling={self.scaling!r} would divide by 0"
            )
        return "; ".join(parts)

    def _flags(self, inputs: Sequence[str], arguments: dict[str, Any]) -> str:
        """Return the flags that mend everything; nothing if no input would be left."""
        gone = {*self.to_drop, *self.to_id}
        if gone >= set(inputs):
            return ""
        flags = []
        if self.has_commas:
            flags.append("--data.decimal ,")
        if self.to_categorical:
            flags.append(f"--data.categorical {_as_flag([*arguments['categorical'], *self.to_categorical])}")
        if self.has_unseen:
            flags.append("--data.unseen zeros")
        drop = list(self.to_drop)
        if self.to_id and arguments["id_column"] is None:
            flags.append(f"--data.id_column {_as_flag(self.to_id[0])}")
        else:
            drop += self.to_id
        if set(self.missing) - gone:
            flags.append("--data.missing median")
        if drop:
            flags.append(f"--data.drop {_as_flag([*arguments['drop'], *drop])}")
        return " ".join(flags)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _strings(column: Any) -> list[str | None]:
    import pyarrow as pa

    return [value or None for value in column.cast(pa.string()).to_pylist()]


def _finite(column: Any) -> NDArray[Any]:
    """Return numbers, NaN where missing, in which infinite ones are left."""
    try:
        return as_numbers(column, "", Path(), "")  # type: ignore[no-any-return]
    except InputError:
        return np.array([np.nan if value is None else float(value) for value in column.to_pylist()])


def _mostly_numbers(values: Sequence[str]) -> bool:
    """Tell whether at least half of some texts are numbers, as in a column with a few words."""

    def is_number(value: str) -> bool:
        try:
            float(value)
        except ValueError:
            return False
        return True

    return 2 * sum(map(is_number, values)) >= len(values)


def _as_flag(value: str | Sequence[str]) -> str:
    """Return names as a flag's value, quoted for the shell where needed.

    Example:
        >>> print(_as_flag(["sex", "a, b"]))
        '[sex, "a, b"]'
    """
    if isinstance(value, str):
        return shlex.quote(value)
    names = [
        name if _PLAIN.fullmatch(name) and name.lower() not in _YAML_WORDS else json.dumps(name, ensure_ascii=False)
        for name in dict.fromkeys(value)
    ]
    return shlex.quote(f"[{', '.join(names)}]")
