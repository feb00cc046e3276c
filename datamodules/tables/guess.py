"""Guess what a column of a table is, from its name and its values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.tables.column_names import is_code_name, is_key_name, is_label_name, is_row_key_name
from datamodules.tables.date_text import guess_date_format
from datamodules.tables.number_text import guess_decimal, plain_numbers
from datamodules.tables.reading import Reading, days_of, is_date_type, is_text_type
from datamodules.tables.texts import AMBIGUOUS, Texts
from datamodules.tables.values import decode, holds_numbers, list_numbers

Role = Literal[
    "number", "date", "category", "flag", "id", "constant", "empty", "label", "code", "text", "row number", "other"
]

_MOST_CATEGORIES = 100
_ROWS_PER_CATEGORY = 5  # on average, at least
_HEAVY_TAIL = 1.0  # skewness; that of an exponential distribution is 2
_MOST_WORDS, _WORD_SHARE = 3, 0.05  # among numbers or dates, which then stand for missing ones
_MEETINGS = 10  # of equal numbers that chance would bring; if none are equal, they are ids
_MOST_ID_CHARACTERS, _MOST_ID_WORDS = 60, 3  # on average; longer texts are prose
_FLAGS = [
    {"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"on", "off"}, {"1", "0"}, {"ja", "nein"}, {"j", "n"},
    {"wahr", "falsch"}, {"oui", "non"}, {"si", "no"}, {"sí", "no"}, {"sì", "no"}, {"sim", "não"}, {"tak", "nie"},
]  # fmt: skip
_FEWEST_IDS, _FEWEST_NUMBERS = 3, 10  # rows, of which whole numbers without a telling name are ids
_HEAD = 1000  # rows and columns that are looked at for the decimal sign
_FIRST_DATE, _LAST_DATE = 18000101, 21991231  # as numbers
_EIGHT_DIGITS = re.compile("[0-9]{8}")  # which may be a date
_LEADING_ZERO = re.compile("0[0-9]+")
_DIGITS = re.compile("[0-9]+")
_PHONE = re.compile(r"(\+|00?[1-9]|\()[0-9()\s/.-]{5,}")


class Guess(NamedTuple):
    """What a column was taken for.

    Attributes:
        role: its role.
        reading: how it becomes inputs; None if it becomes none.
        missing: share of the rows without a value.
    """

    role: Role
    reading: Reading | None = None
    missing: float = 0.0


@dataclass(frozen=True)
class ColumnGuesser:
    """Guess of what a column is.

    What a column *is* follows from all of its values; the numbers that enter the model (categories, skewness, newest
    date) follow from the training rows alone.

    Args:
        path: file of the table, for messages.
        names: columns of the table.
        listed: inputs that the user has named one by one, and those of a column of lists; their names tell nothing, and
            they are no ids.
        rows: training rows, (n,); None for all.
        decimal: decimal sign of numbers in text that can be read in two ways.
    """

    path: Path
    names: Sequence[str]
    listed: frozenset[str]
    rows: Any
    decimal: str

    def __call__(self, name: str, column: Any) -> Guess:
        """Return what a column of a ``pyarrow.Table`` is taken for."""
        column = decode(column)
        if is_date_type(column.type):
            return self._of_days(days_of(column), Reading("date"))
        if holds_numbers(column.type):
            return self._of_numbers(name, list_numbers(column).astype(np.float64), Reading("number"))
        if is_text_type(column.type):
            plain = self._plain_numbers(name, column)
            if plain is not None:
                return self._of_numbers(name, plain, Reading("number"))
            return self._of_texts(name, column)
        return Guess("other")

    def category(self, name: str, column: Any) -> Guess:
        """Return how a column of a ``pyarrow.Table`` is read that the user has called categorical."""
        texts = Texts.of(column, name, self.path)
        kept: list[str] = []
        if self._reading(name, texts.known, texts) is None:
            texts, kept = self._with_ambiguous(name, column, texts)
        return Guess("category", Reading("category", kept=kept), float((texts.codes < 0).mean()))

    # ---- numbers and dates -----------------------------------------------------------------------------------------

    def _of_numbers(self, name: str, values: NDArray[np.float64], reading: Reading) -> Guess:
        values = np.where(np.isfinite(values), values, np.nan)
        training = self._known(values)
        if len(training) == 0:
            return Guess("empty")
        smallest, largest = training.min(), training.max()
        if smallest == largest:
            return Guess("constant")
        missing = float(np.isnan(values).mean())
        known = values[~np.isnan(values)]
        if name not in self.listed and bool((known == np.round(known)).all()):
            role = self._of_whole_numbers(name, values, training)
            if role is not None:
                return Guess(role, Reading("category") if role == "category" else None, missing)
        if len(np.unique(known)) == 2 and bool((known == np.round(known)).all()):  # such as sex, 1 or 2
            return Guess("flag", Reading("flag"), missing)
        log = bool(smallest >= 0) and _skewness(training) > _HEAVY_TAIL
        return Guess("number", replace(reading, log=log), missing)

    def _plain_numbers(self, name: str, column: Any) -> NDArray[np.float64] | None:
        """Return the numbers of a column of texts that need no closer look, which is slow for very many columns."""
        from pyarrow import compute

        if self.decimal != "." or is_code_name(name):
            return None
        values = plain_numbers(column)
        if values is None or compute.any(compute.match_substring_regex(column, "^0[0-9]")).as_py():
            return None
        may_be_dates = (values >= _FIRST_DATE) & (values <= _LAST_DATE) & (values == np.round(values))
        return None if bool((may_be_dates | np.isnan(values)).all()) else values

    def _of_whole_numbers(self, name: str, values: NDArray[np.float64], training: NDArray[np.float64]) -> Role | None:
        """Return the role of whole numbers that are no quantity; None for a quantity."""
        if is_label_name(name, self.names) and _are_few(np.unique(training), training):
            return "label"
        if _are_row_keys(name, values):
            return "id"
        if is_key_name(name) or is_code_name(name):
            return "category" if _are_few(np.unique(training), training) else "code"
        return None

    def _of_days(self, days: NDArray[np.float64], reading: Reading) -> Guess:
        training = self._known(days)
        if len(training) == 0:
            return Guess("empty")
        if training.min() == training.max():
            return Guess("constant")
        log = _skewness(training.max() - training) > _HEAVY_TAIL
        return Guess("date", replace(reading, newest=int(training.max()), log=log), float(np.isnan(days).mean()))

    def _known(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        training = values if self.rows is None else values[self.rows]
        return training[~np.isnan(training)]

    # ---- text ------------------------------------------------------------------------------------------------------

    def _of_texts(self, name: str, column: Any) -> Guess:
        texts = Texts.of(column, name, self.path)
        reading = self._reading(name, texts.known, texts)
        kept: list[str] = []
        if reading is None:
            texts, kept = self._with_ambiguous(name, column, texts)
        training = self._training(texts)
        distinct = np.unique(training)
        if len(distinct) == 0:
            return Guess("empty")
        missing = float((texts.codes < 0).mean())
        if len(distinct) == 1:
            return Guess("constant", None, missing)
        if name not in self.listed and is_label_name(name, self.names) and _are_few(distinct, training):
            return Guess("label", None, missing)
        if reading is None:
            return self._of_words(name, texts, distinct, training, kept)
        values = texts.spread(reading.parse(texts.values))
        return self._of_days(values, reading) if reading.kind == "date" else self._of_numbers(name, values, reading)

    def _training(self, texts: Texts) -> NDArray[np.int64]:
        """Return the number of the value of each training row that has one."""
        codes: NDArray[np.int64] = texts.codes if self.rows is None else texts.codes[self.rows]
        return codes[codes >= 0]

    def _with_ambiguous(self, name: str, column: Any, texts: Texts) -> tuple[Texts, list[str]]:
        """Return the texts of a column that holds neither numbers nor dates, with words such as ``none`` or ``-``.

        Such a word, the second result, is a category of its own unless the training rows with it are so few that a
        category would tell little, or the other texts are codes of digits.
        """
        there = {value.casefold() for value in texts.values} & AMBIGUOUS
        if not there or all(_DIGITS.fullmatch(text) or _PHONE.fullmatch(text) for text in texts.known):
            return texts, []
        full = Texts.of(column, name, self.path, there)
        training = self._training(full)
        words = [value.casefold() for value in full.values]
        counts = Counter(dict.fromkeys(there, 0))
        for code, count in zip(*np.unique(training, return_counts=True), strict=True):
            counts[words[code]] += int(count)
        kept = sorted(
            word for word in there if counts[word] >= _ROWS_PER_CATEGORY or counts[word] > _WORD_SHARE * len(training)
        )
        return Texts.of(column, name, self.path, kept), kept

    def _reading(self, name: str, known: Sequence[str], texts: Texts) -> Reading | None:
        """Return how texts are read as numbers or dates; None if most of them are neither."""
        if not known:
            return None
        is_code = name not in self.listed and _are_codes(name, known)
        if not is_code and not all(_EIGHT_DIGITS.fullmatch(text) for text in known):
            number = self._number_reading(known, texts)
            if number is not None:
                return number
        date_format = guess_date_format(known)
        if date_format is not None:
            return _mostly(Reading("date", date_format=date_format), texts)
        return None if is_code else self._number_reading(known, texts)

    def _number_reading(self, known: Sequence[str], texts: Texts) -> Reading | None:
        return _mostly(Reading("number", decimal=guess_decimal(known) or self.decimal), texts)

    def _of_words(
        self, name: str, texts: Texts, distinct: NDArray[Any], training: NDArray[Any], kept: list[str]
    ) -> Guess:
        missing, known = float((texts.codes < 0).mean()), texts.known
        are_few = _are_few(distinct, training)
        if {text.casefold() for text in known}.difference(kept) in _FLAGS:
            return Guess("flag", Reading("flag", kept=kept), missing)
        if name not in self.listed and missing == 0 and len(texts.codes) == len(known) >= _FEWEST_IDS:
            return Guess("text" if _are_prose(known) else "id")
        if are_few:
            return Guess("category", Reading("category", kept=kept), missing)
        return Guess("code" if _are_codes(name, known) or is_key_name(name) else "text", None, missing)


def file_decimal(table: Any, names: Sequence[str], path: Path) -> str:
    """Guess the decimal sign of a table from the first rows of its first columns of text.

    It is a comma if that is so in some column and a point is in none, and a point otherwise.

    Args:
        table: a ``pyarrow.Table``.
        names: columns to look at.
        path: its file, for messages.
    """
    columns = {
        name: table[name].slice(0, _HEAD) for name in names[:_HEAD] if is_text_type(table.schema.field(name).type)
    }
    signs = {guess_decimal(Texts.of(column, name, path).known) for name, column in columns.items()}
    return "," if "," in signs and "." not in signs else "."


def _mostly(reading: Reading, texts: Texts) -> Reading | None:
    """Return a reading with the few words that it cannot read, which stand for missing values.

    The result is None if it cannot read more than a few.
    """
    unread = texts.codes[np.isnan(texts.spread(reading.parse(texts.values))) & (texts.codes >= 0)]
    words = [texts.values[code] for code in np.unique(unread).tolist()]
    if len(words) > _MOST_WORDS or len(unread) > _WORD_SHARE * int((texts.codes >= 0).sum()):
        return None
    return replace(reading, words=words)


def _are_few(distinct: NDArray[Any], values: NDArray[Any]) -> bool:
    return len(distinct) <= min(_MOST_CATEGORIES, max(2, len(values) // _ROWS_PER_CATEGORY))


def _are_row_keys(name: str, values: NDArray[np.float64]) -> bool:
    """Tell whether whole numbers name the rows: all differ, and that is no chance."""
    n = len(values)
    if n < _FEWEST_IDS or np.isnan(values).any() or len(np.unique(values)) < n:
        return False
    span = float(values.max() - values.min() + 1)
    return is_row_key_name(name) or (n >= _FEWEST_NUMBERS and (span == n or n * n > 2 * _MEETINGS * span))


def _are_codes(name: str, texts: Sequence[str]) -> bool:
    """Tell whether texts are codes of digits, such as postal codes and phone numbers, which are no quantity."""
    if is_code_name(name):
        return True
    if all(_DIGITS.fullmatch(text) for text in texts):
        return any(_LEADING_ZERO.fullmatch(text) for text in texts)
    return all(_PHONE.fullmatch(text) for text in texts)


def _are_prose(texts: Sequence[str]) -> bool:
    n = len(texts)
    return sum(map(len, texts)) > _MOST_ID_CHARACTERS * n or sum(len(t.split()) for t in texts) > _MOST_ID_WORDS * n


def _skewness(values: NDArray[np.float64]) -> float:
    """Return the third standardised moment of values that are not all the same."""
    with np.errstate(all="ignore"):  # of values near the largest float; their skewness is NaN, and so above no bound
        centred = values - values.mean()
        centred = centred / np.abs(centred).max()
        return float((centred**3).mean() / (centred**2).mean() ** 1.5)
