"""Distinct texts of a column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.tables.values import decode, list_numbers
from lightning_dc.errors import InputError

# In lower case; what pandas takes for missing, and what people write. The first ones are words of their own, too: no
# smoker (none), a negative test (-), Namibia (NA).
AMBIGUOUS = frozenset(("-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "na", "none", "nil", "missing"))
_MISSING = {
    *AMBIGUOUS,
    *("", "?", "n/a", "n.a.", "#n/a", "#na", "#n/a n/a", "<na>"),
    *("nan", "-nan", "null", "nat", "k.a.", "#value!", "#ref!", "#div/0!", "(null)", "\\n"),
}


class Texts(NamedTuple):
    """Values of a column as text, without white space around them.

    Attributes:
        values: distinct values.
        codes: number of the value of each row, (N,), int64; -1 where it is missing.
    """

    values: list[str]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, column: Any, name: str, path: Path, kept: Collection[str] = ()) -> Texts:
        """Return the texts of a column of a ``pyarrow.Table``; a number is the same text with and without ``.0``.

        Missing are empty values and words such as ``NA``, ``-`` or ``null``, without those of ``kept``, which are in
        lower case.

        Raises:
            InputError: the column holds something that is neither text, number, truth value nor date.
        """
        import pyarrow as pa
        from pyarrow import compute, types

        column = decode(column)
        if types.is_floating(column.type) or types.is_decimal(column.type):
            return cls._of_numbers(list_numbers(column))
        try:
            if types.is_binary(column.type) or types.is_large_binary(column.type):
                raise pa.ArrowInvalid("bytes are no text")
            column = compute.utf8_trim_whitespace(column.cast(pa.large_string()))
        except pa.ArrowException as error:
            raise InputError(f"{path}: column {name!r} holds {column.type}, not text; name it in drop") from error
        encoded = column.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        words = _MISSING.difference(kept)
        missing = [code for code, value in enumerate(values) if value.casefold() in words]
        return cls(values, np.where(np.isin(codes, missing), -1, codes) if missing else codes)

    @classmethod
    def _of_numbers(cls, numbers: NDArray[Any]) -> Texts:
        distinct, codes = np.unique(numbers, return_inverse=True)
        values = [str(int(value)) if np.isfinite(value) and value == int(value) else str(value) for value in distinct]
        return cls(values, np.where(np.isfinite(numbers), codes.reshape(-1), -1).astype(np.int64))

    @property
    def known(self) -> list[str]:
        """Distinct values that are not missing, in the order of their numbers."""
        return [self.values[code] for code in np.unique(self.codes[self.codes >= 0]).tolist()]

    def spread(self, numbers: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the number of each row, (N,), from those of the distinct values; NaN where missing."""
        return np.append(np.asarray(numbers, np.float64), np.nan)[self.codes]

    def row_of(self, code: int) -> int:
        """Return the first row of a value."""
        return int((self.codes == code).argmax())

    def to_list(self) -> list[str | None]:
        """Return the text of each row; None where missing."""
        return [None if code < 0 else self.values[code] for code in self.codes.tolist()]
