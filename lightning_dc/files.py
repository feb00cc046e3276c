"""Writing of files that appear complete or not at all."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_dc.errors import InputError

_ENDINGS = (".parquet", ".npz", ".csv")


def check_ending(path: str | Path, argument: str, endings: Sequence[str] = _ENDINGS) -> None:
    """Check that a file has an ending that names its format.

    Args:
        path: the file.
        argument: name of the argument in error messages.
        endings: allowed endings; the default is those of files of predictions.

    Raises:
        InputError: the file has another ending.
    """
    if Path(path).suffix not in endings:
        raise InputError(f"{argument}={str(path)!r} must end in {' or '.join(endings)}")


def check_writable_folder(folder: Path, argument: str) -> None:
    """Create a folder if needed, and check that files can be written there.

    Args:
        folder: the folder.
        argument: name of the argument in error messages.

    Raises:
        InputError: the folder cannot be created, or no file can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{argument}: the folder {str(folder)!r} can't be written ({error.strerror}); choose another one"
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Any]:
    """Open a binary file for writing under a temporary name, and give it its own name when all is on the disk.

    :func:`whole_path` tells what is left after a kill, a full disk or a crash.
    """
    with whole_path(path) as name, open(name, "wb") as file:
        yield file  # some writers close it


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Yield the temporary name of an empty file, and give the file its own name when all is on the disk.

    The folder is created if needed. The file is written beside its place, on the same file system, so that a kill, a
    full disk or a crash of the machine leaves either the file that was there before or the new one. Its mode follows
    the umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield Path(name)
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    _sync_folder(path.parent)


def _umask() -> int:
    """Return the umask, which can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems cannot
        pass
    finally:
        os.close(handle)


@contextmanager
def whole_csv(path: Path) -> Iterator[Any]:
    """Open a text file for a CSV writer as :func:`whole_file` does."""
    with whole_file(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield text
