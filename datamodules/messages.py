"""Parts of messages about files and names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
