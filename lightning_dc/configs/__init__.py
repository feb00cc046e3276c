"""Configurations that are shipped with the package."""

from __future__ import annotations

import difflib
import itertools
import re
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


def print_configs() -> None:
    """Print the name of each shipped configuration and what it is for, which is the first sentence of its file."""
    from tabulate import tabulate

    rows = [(name, _first_sentence(path.read_text())) for name, path in shipped_configs().items()]
    print(tabulate(rows, ("--config", "what it does"), tablefmt="simple", maxcolwidths=(None, 90)))


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


def _first_sentence(text: str) -> str:
    """Return the first sentence of the comment with which a configuration begins."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    comment = " ".join(line.removeprefix("#").strip() for line in lines)
    return re.split(r"(?<=\.)\s+(?=[A-Z])", comment)[0]
