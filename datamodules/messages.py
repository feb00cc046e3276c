"""Parts of messages about files and names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_dc.errors import InputError


def unreadable(path: Path, error: BaseException) -> InputError:
    """What to say of a file that a library can't read."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"{path}: can't be read ({reason}); get the file again, or save it anew")


def listed(names: str | Sequence[str]) -> list[str]:
    """One name is a list of one."""
    return [names] if isinstance(names, str) else list(names)


def some(names: Sequence[str], at_most: int = 8) -> str:
    """The first names, for a message."""
    shown = ", ".join(map(repr, names[:at_most]))
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most} others"
