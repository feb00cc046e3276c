"""Dates that are written as text, in one of the usual formats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

_FORMATS = (  # of several that fit equally well, the first is taken
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%y", "%Y%m%d"),
    *("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%d. %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y"),
)
_TIME = re.compile(
    r"[T ]\s*[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?(\s*[AaPp]\.?[Mm]\.?)?"
    r"(\s*(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?))?"
)
_LOOKS = re.compile(r"[0-9]{1,4}[-/. ].*[0-9]{2}.*|[A-Za-z]{3,9} [0-9]{1,2}, [0-9]{4}.*|(18|19|20|21)[0-9]{6}([T ].*)?")
_FIRST, _LAST = datetime(1800, 1, 1).toordinal(), datetime(2200, 1, 1).toordinal()  # 9999 stands for no date
_HEAD = 20  # texts with which formats are tried first


def guess_date_format(texts: Sequence[str]) -> str | None:
    """Guess the format, as of ``datetime.strptime``, in which most of the texts are dates; None if there is none.

    A time of day and a time zone may follow the date. Where month and day cannot be told apart, ``01/02/2020`` has the
    month first, and ``01.02.2020`` and ``01-02-2020`` have the day first.

    Example:
        >>> [guess_date_format(texts) for texts in (["13.02.2020", "1.2.2021 10:30"], ["1/2/2020"], ["a"])]
        ['%d.%m.%Y', '%m/%d/%Y', None]
    """
    head = texts[:_HEAD]
    if 2 * sum(_LOOKS.fullmatch(text) is not None for text in head) < len(head):
        return None
    counts = {one: int(np.isfinite(read_dates(head, one)).sum()) for one in _FORMATS}
    fitting = [one for one in _FORMATS if counts[one] > 0 and 2 * counts[one] >= len(head)]
    if len(fitting) > 1:
        counts = {one: int(np.isfinite(read_dates(texts, one)).sum()) for one in fitting}
    return max(fitting, key=counts.__getitem__, default=None)


def read_dates(texts: Sequence[str], date_format: str) -> NDArray[np.float64]:
    """Read dates without their time of day.

    Args:
        texts: texts without white space around them.
        date_format: format of the dates, as of ``datetime.strptime``.

    Returns:
        Days since the beginning of the calendar, as of ``date.toordinal``, (n,); NaN for a text that is no such date.

    Example:
        >>> read_dates(["1970-01-02", "1970-01-01T23:59:00Z", "never"], "%Y-%m-%d").tolist()
        [719164.0, 719163.0, nan]
    """
    days: dict[str, float] = {}
    dates = [_without_time(text) for text in texts]
    for date in dates:
        if date not in days:
            days[date] = _day(date, date_format)
    return without_placeholders(np.array([days[date] for date in dates], np.float64))


def without_placeholders(days: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return days, as of ``date.toordinal``, with NaN for those outside of 1800 to 2200, such as 9999-12-31."""
    return np.where((days >= _FIRST) & (days < _LAST), days, np.nan)


def describe_date_format(date_format: str) -> str:
    """Return a format in letters.

    Example:
        >>> describe_date_format("%d.%m.%Y")
        'dd.mm.yyyy'
    """
    letters = {"%Y": "yyyy", "%y": "yy", "%m": "mm", "%d": "dd", "%b": "month", "%B": "month"}
    return re.sub("%[A-Za-z]", lambda code: letters[code[0]], date_format)


def _without_time(text: str) -> str:
    found = _TIME.search(text)
    return text[: found.start()] if found is not None and found.end() == len(text) else text


def _day(text: str, date_format: str) -> float:
    try:
        return float(datetime.strptime(text, date_format).toordinal())
    except ValueError:
        return np.nan
