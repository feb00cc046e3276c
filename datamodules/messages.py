"""Parts of messages about files and names, and notices to the user."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info

from lightning_dc.errors import InputError


def unreadable_file(path: Path, error: BaseException) -> InputError:
    """Return the error for a file that a library cannot read.

    Args:
        path: the file.
        error: error of the library, which becomes the reason in the message.
    """
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"{path}: can't be read ({reason}); get the file again, or save it anew")


def as_list(names: str | Sequence[str]) -> list[str]:
    """Return names as a list; a single name becomes a list of one."""
    return [names] if isinstance(names, str) else list(names)


def quote_first(names: Sequence[str], at_most: int = 8) -> str:
    """Return the first names in quotes, and the number of the others, for a message.

    Example:
        >>> quote_first(["a", "b", "c"], at_most=1)
        "'a' and 2 others"
    """
    shown = ", ".join(map(repr, names[:at_most]))
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most} others"


def check_all(checks: Sequence[Callable[[], None]]) -> None:
    """Make several checks, and raise one error for all of them that fail.

    Raises:
        InputError: a check fails; the message holds those of all.
    """
    messages = []
    for check in checks:
        try:
            check()
        except InputError as error:
            messages.append(str(error))
    if messages:
        raise InputError("; ".join(dict.fromkeys(messages)))


@functools.cache
def tell(message: str) -> None:
    """Tell the user in one line what has been done to the data; the same line is told once in a process."""
    rank_zero_info(message)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names with numbers by the numbers.

    Example:
        >>> sorted(["part-10", "part-9", "a"], key=natural_key)
        ['a', 'part-9', 'part-10']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts if part]
