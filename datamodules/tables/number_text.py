"""Numbers that are written for people: with thousands separators, currency and percent signs, or decimal commas."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CURRENCY = r"(?:US\$|R\$|[$€£¥₹₽₩₺]|EUR|USD|GBP|CHF|JPY|CNY|SEK|NOK|DKK|PLN|CZK|HUF|Fr\.|kr\.?|zł|Kč)"
_FRAME = re.compile(
    rf"(?P<open>\()?(?P<sign>[+\-\u2212]?)\s*(?:{_CURRENCY}\s*)?(?P<inner>[+\-\u2212]?)"
    rf"(?P<digits>[0-9.,][0-9.,'\u2019 \u00a0\u202f]*)(?P<power>[eE][+-]?[0-9]+)?\s*(?:%|{_CURRENCY})?(?P<close>\))?",
    re.IGNORECASE,
)
_GAPS = "'\u2019 \u00a0\u202f"  # between groups of three digits, whatever the decimal sign
_FORMS = {  # of the digits, by decimal sign
    sign: re.compile(rf"(?:[1-9][0-9]{{0,2}}(?:[{_GAPS}{other}][0-9]{{3}})+|[0-9]+)(?:[{sign}][0-9]*)?|[{sign}][0-9]+")
    for sign, other in ((".", ","), (",", "."))
}
_INFINITE = {"inf", "infinity", "∞"}
_MOST_CHARACTERS = 60  # of a number; the pattern would take long for pages of digits and spaces


def guess_decimal(texts: Iterable[str]) -> str | None:
    """Guess the decimal sign of numbers from those that can be read in one way only; None if there are none of them.

    Example:
        >>> [guess_decimal(texts) for texts in (["1.234,50 €", "7"], ["1,234", "1.5"], ["1,234"], ["01.02.2020"])]
        [',', '.', None, None]
    """
    counts: Counter[str] = Counter()
    for text in texts:
        parts = _parts(text)
        if parts is not None and re.search("[.,]", parts["digits"]):
            fitting = [sign for sign, form in _FORMS.items() if form.fullmatch(parts["digits"].rstrip())]
            if len(fitting) == 1:
                counts[fitting[0]] += 1
    return counts.most_common(1)[0][0] if counts else None


def read_numbers(texts: Sequence[str], decimal: str) -> NDArray[np.float64]:
    """Read numbers.

    Args:
        texts: texts without white space around them.
        decimal: decimal sign, ``.`` or ``,``; the other one, apostrophes and spaces may separate groups of three
            digits. Percent and currency signs are left out, and parentheses mean a negative number.

    Returns:
        Numbers, (n,), which may be infinite; NaN for a text that is no number.

    Example:
        >>> read_numbers(["1.234,5 €", "12 %", "(3)", "1.5"], ",").tolist()
        [1234.5, 12.0, -3.0, nan]
    """
    import pyarrow as pa

    plain = plain_numbers(pa.array(texts, pa.string())) if decimal == "." else None
    if plain is not None:
        return plain
    return np.array([_number(text, decimal) for text in texts], np.float64)


def plain_numbers(texts: Any) -> NDArray[np.float64] | None:
    """Return the numbers of a ``pyarrow.Array`` of texts, (n,), if all of them are written plainly, as ``-1.5e3``.

    Missing texts and ``NA`` are NaN; the result is None if any text is written in another way.
    """
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.if_else(compute.equal(texts, "NA"), pa.scalar(None, texts.type), texts)
    try:
        return np.array(texts.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return None


def _parts(text: str) -> re.Match[str] | None:
    return _FRAME.fullmatch(text) if len(text) <= _MOST_CHARACTERS else None


def _number(text: str, decimal: str) -> float:
    parts = _parts(text)
    if parts is None:
        return (-math.inf if text[:1] == "-" else math.inf) if text.lstrip("+-").casefold() in _INFINITE else math.nan
    digits = parts["digits"].rstrip()
    if _FORMS[decimal].fullmatch(digits) is None or bool(parts["open"]) != bool(parts["close"]):
        return math.nan
    digits = re.sub(rf"[^0-9{decimal}]", "", digits).replace(",", ".")
    negative = bool(parts["open"]) or {"-", "\u2212"} & {parts["sign"], parts["inner"]}
    return (-1 if negative else 1) * float(digits + (parts["power"] or ""))
