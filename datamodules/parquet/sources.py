"""Parquet files of a folder, with the columns that the names of its folders stand for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from datamodules.folder import walk
from datamodules.tables.file import table_kind
from lightning_dc.errors import InputError

_MISSING = "__HIVE_DEFAULT_PARTITION__"
_INTEGER = re.compile("0|-?[1-9][0-9]{0,17}")


class ParquetSource(NamedTuple):
    """A Parquet file.

    Attributes:
        path: the file.
        keys: columns that the names of its folders stand for, and their value in all rows of the file, such as
            ``{"year": 2020}`` for a file in ``year=2020`` (hive partitions); None for a missing value.
    """

    path: Path
    keys: dict[str, int | str | None]


def find_sources(path: Path) -> list[ParquetSource]:
    """Find the Parquet files of a folder and of those in it, in the order of their names.

    Numbers in names are ordered as numbers. Names that begin with ``.`` or ``_`` are left out.

    Args:
        path: a Parquet file or a folder.

    Raises:
        InputError: there are no Parquet files, or a symbolic link leads out of the folder.
    """
    if path.is_dir():
        found = [names for names in walk(path, (".", "_")) if table_kind(Path(names[-1])) == "parquet"]
        sources = _with_integers([ParquetSource(path.joinpath(*names), _keys(names[:-1])) for names in found])
    else:
        sources = [ParquetSource(path, {})] if path.is_file() and table_kind(path) == "parquet" else []
    if not sources:
        raise InputError(f"path={str(path)!r} is neither a .parquet file nor a folder of them; give one")
    return sources


def _keys(folders: tuple[str, ...]) -> dict[str, int | str | None]:
    """Return the columns of folders that are called ``key=value``, with their values as text."""
    pairs = [folder.partition("=") for folder in folders]
    texts = {unquote(name): unquote(value) for name, sign, value in pairs if sign and name}
    return {name: None if text == _MISSING else text for name, text in texts.items()}


def _with_integers(sources: list[ParquetSource]) -> list[ParquetSource]:
    """Return the sources with integers as the values of the columns that hold nothing else."""
    texts: dict[str, set[int | str]] = {}
    for source in sources:
        for name, value in source.keys.items():
            texts.setdefault(name, set()).update(() if value is None else (value,))
    whole = {name for name, values in texts.items() if all(_INTEGER.fullmatch(str(value)) for value in values)}
    return [
        source._replace(
            keys={
                name: value if value is None or name not in whole else int(value) for name, value in source.keys.items()
            }
        )
        for source in sources
    ]
