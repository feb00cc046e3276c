"""Folders with one file for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.messages import quote_first
from lightning_dc.errors import InputError


class FolderFiles(NamedTuple):
    """Files of a folder, in the order of their names.

    Attributes:
        paths: paths of the files.
        ids: path of each file within the folder, with ``/``.
        y: class of each file, (N,); None if the folder is flat.
        classes: name of each class, which is that of its folder, sorted; empty if the folder is flat.
    """

    paths: list[Path]
    ids: list[str]
    y: NDArray[np.int64] | None
    classes: list[str]


def find_files(folder: Path, endings: Sequence[str]) -> FolderFiles:
    """Find the files of a folder that is flat or has one folder for each class.

    Hidden files and folders are left out, and so are files with other endings.

    Args:
        folder: the folder.
        endings: endings of the files, with the point, in lower case.

    Raises:
        InputError: the path is not a folder, or the folder has no such files, or it has some of them in its folders and
            others beside them.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the path of one")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file()]
    parts = sorted(path.relative_to(folder).parts for path in found)
    parts = [names for names in parts if not any(name.startswith(".") for name in names)]
    if not parts:
        raise InputError(f"{folder}: holds no file that ends in {', '.join(endings)}; check the path")
    paths, ids = [folder.joinpath(*names) for names in parts], ["/".join(names) for names in parts]
    beside = [names[0] for names in parts if len(names) == 1]
    if len(beside) == len(parts):
        return FolderFiles(paths, ids, None, [])
    if beside:
        raise InputError(
            f"{folder}: holds {quote_first(beside, 1)} beside folders with more of the kind; have either files or one "
            "folder a class"
        )
    classes = sorted({names[0] for names in parts})
    number = {name: i for i, name in enumerate(classes)}
    return FolderFiles(paths, ids, np.array([number[names[0]] for names in parts]), classes)
