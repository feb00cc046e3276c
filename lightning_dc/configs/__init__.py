"""Configurations that are shipped with the package."""

from __future__ import annotations

import difflib
from pathlib import Path

from lightning_dc.errors import InputError

FOLDER = Path(__file__).parent


def shipped_configs() -> dict[str, Path]:
    """Return the path of each shipped configuration by name.

    Example:
        >>> "dec_digits" in shipped_configs()
        True
    """
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def find_config(name: str) -> Path:
    """Return the path of a configuration that is given by its path or, if it is shipped, by its name.

    Raises:
        InputError: it is neither a file nor a shipped configuration.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_configs()
    if name in shipped:
        return shipped[name]
    close = difflib.get_close_matches(name, shipped)
    hint = f"did you mean {close[0]}?" if close else f"shipped are {', '.join(shipped)}"
    raise InputError(f"config={name!r} is neither a file nor a shipped configuration; {hint}")
