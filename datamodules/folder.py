"""Folders with one file for each sample, and walks through folders that do not leave them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.messages import natural_key, quote_first, tell
from lightning_dc.errors import InputError

Parts = tuple[str, ...]
_OF_THE_SYSTEM = {"thumbs.db", "desktop.ini"}
_SPLIT = re.compile(r"(.*[-_. ])?(train|training|trn|test|testing|tst|val|valid|validation|dev|eval)([-_. ].*)?")


class FolderFiles(NamedTuple):
    """Files of a folder, in the order of their names, in which numbers are ordered as numbers.

    Attributes:
        paths: paths of the files.
        ids: path of each file within the folder, with ``/``.
        y: class of each file, (N,); None if the folder is flat.
        classes: name of each class, which is that of its folder, in order; empty if the folder is flat.
    """

    paths: list[Path]
    ids: list[str]
    y: NDArray[np.int64] | None
    classes: list[str]


def find_files(folder: Path, endings: Sequence[str]) -> FolderFiles:
    """Find the files of a folder that is flat or has one folder for each class.

    Folders of the parts of a data set, such as ``train`` and ``test``, are no classes; those within them are. The same
    holds for a single folder around all others. Hidden files and folders are left out, and so are files with other
    endings, of which the user is told.

    Args:
        folder: the folder.
        endings: endings of the files, with the point, in lower case.

    Raises:
        InputError: the path is not a folder, or the folder has no such files, or it has some of them in its folders and
            others beside them, or a symbolic link leads out of it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the path of one")
    found = list(walk(folder))
    parts = [names for names in found if names[-1].lower().endswith(tuple(endings))]
    if not parts:
        raise InputError(f"{folder}: holds no file that ends in {', '.join(endings)}; check the path")
    taken = set(parts)
    _tell_endings(folder, parts, [names for names in found if names not in taken])
    paths, ids = [folder.joinpath(*names) for names in parts], ["/".join(names) for names in parts]
    level = _level_of_classes(folder, parts)
    beside = ["/".join(names) for names in parts if len(names) == level + 1]
    if len(beside) == len(parts):
        return FolderFiles(paths, ids, None, [])
    if beside:
        raise InputError(
            f"{folder}: holds {quote_first(beside, 1)} beside folders with more of the kind; have either files or one "
            "folder a class"
        )
    classes = sorted({names[level] for names in parts}, key=natural_key)
    number = {name: i for i, name in enumerate(classes)}
    return FolderFiles(paths, ids, np.array([number[names[level]] for names in parts]), classes)


def walk(folder: Path, hidden: tuple[str, ...] = (".",)) -> Iterator[Parts]:
    """Yield the files of a folder and of those in it, in the order of their names, as the parts of their paths in it.

    Args:
        folder: the folder.
        hidden: beginnings of the names of files and folders that are left out.

    Raises:
        InputError: a symbolic link leads out of the folder.
    """
    root = folder.resolve()
    found: list[Parts] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(hidden)]
        files = [name for name in files if not name.startswith(hidden)]
        for name in [*folders, *files]:
            check_link(Path(place, name), root)
        inside = Path(place).relative_to(folder).parts
        found += [(*inside, name) for name in files if Path(place, name).is_file()]
    yield from sorted(found, key=lambda names: [natural_key(name) for name in names])


def check_link(path: Path, root: Path) -> None:
    """Check that a file or folder is no symbolic link out of a folder.

    Args:
        path: the file or folder.
        root: the folder, resolved.

    Raises:
        InputError: it is.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        raise InputError(
            f"{path}: is a symbolic link that leads out of the folder; copy the folder with its files (cp -rL)"
        )


def _tell_endings(folder: Path, parts: Sequence[Parts], left_out: Sequence[Parts]) -> None:
    """Tell the user the endings of the files, if there are several, and those of the files that are left out."""
    taken = Counter(_ending(names) for names in parts)
    if len(taken) > 1:
        tell(f"{folder}: {len(parts)} files of several endings are read ({_listed(taken)})")
    others = Counter(_ending(names) for names in left_out if names[-1].lower() not in _OF_THE_SYSTEM)
    if others:
        tell(f"{folder}: {others.total()} files are left out for their endings ({_listed(others)})")


def _ending(names: Parts) -> str:
    return Path(names[-1]).suffix.lower() or "without an ending"


def _listed(endings: Counter[str]) -> str:
    return ", ".join(f"{count} {ending}" for ending, count in endings.most_common(8))


def _level_of_classes(folder: Path, parts: Sequence[Parts]) -> int:
    """Return the level of the folders that are classes, 0 for those in the folder itself."""
    level = 0
    while all(len(names) > level + 1 for names in parts):
        outer = sorted({names[level] for names in parts}, key=natural_key)
        are_parts = all(_SPLIT.fullmatch(name.lower()) for name in outer)
        is_wrapper = len(outer) == 1 and any(len(names) > level + 2 for names in parts)
        if not are_parts and not is_wrapper:
            break
        level += 1
        tell(
            f"{folder}: {quote_first(outer)} hold parts of the data and are no classes; classes are the folders in "
            "them (give one of them as path to take it alone)"
        )
    return level
