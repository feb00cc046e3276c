"""Decompression of files whose size is bounded, so that a small file cannot fill the memory."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lightning_dc.errors import InputError

_CHUNK_BYTES = 1 << 20
_ALWAYS_BYTES = 1 << 28  # which any file may hold
_RATIO = 100  # of a larger file to its compressed bytes; text of numbers has 2 to 20, and a file of zeros 1,000
_MOST_BYTES = 1 << 34
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}


def size_limit(compressed_bytes: int) -> int:
    """Return the largest number of bytes that a compressed file may hold.

    It is 256 MiB, or 100 times the size of the compressed file if that is more, and never more than 16 GiB.

    Example:
        >>> size_limit(1_000) == 2**28, size_limit(2**25) == 100 * 2**25, size_limit(2**40) == 2**34
        (True, True, True)
    """
    return min(max(_ALWAYS_BYTES, _RATIO * compressed_bytes), _MOST_BYTES)


def check_size(n_bytes: int, path: Path, limit: int) -> None:
    """Check that the decompressed content of a file does not exceed a limit.

    Raises:
        InputError: it does; the message names the file, the size and the limit.
    """
    if n_bytes > limit:
        raise InputError(
            f"{path}: holds {n_bytes} bytes or more when it is decompressed, but the limit for a file of "
            f"{path.stat().st_size} bytes is {limit}; if you trust it, save it without compression"
        )


def read_bounded(stream: IO[bytes] | Any, path: Path, limit: int) -> bytes:
    """Read a decompressing stream to its end.

    Args:
        stream: an open stream.
        path: the compressed file, for messages.
        limit: largest number of bytes that may come out of the stream.

    Raises:
        InputError: more bytes come out of the stream.
    """
    content = bytearray()
    while chunk := stream.read(_CHUNK_BYTES):
        content += chunk
        check_size(len(content), path, limit)
    return bytes(content)


def check_archive(path: Path) -> None:
    """Check the sum of the sizes of the members of a zip archive, such as an ``.npz`` file.

    Python reads no more of a member than its header tells, so that no member can be larger than that.

    Raises:
        InputError: the members are larger than :func:`size_limit` allows.
        zipfile.BadZipFile: the file is no zip archive.
    """
    with zipfile.ZipFile(path) as archive:
        check_size(sum(member.file_size for member in archive.infolist()), path, size_limit(path.stat().st_size))


def read_file(path: Path, endings: tuple[str, ...]) -> bytes:
    """Read a file, and decompress it if its first bytes are those of gzip, bz2, xz, zstd or zip.

    Args:
        path: the file.
        endings: endings in lower case, of which the only one in a zip archive is read.

    Raises:
        InputError: the content is larger than :func:`size_limit` allows, or an archive has no such file or several.
    """
    with path.open("rb") as file:
        head = file.read(8)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if kind is None:
        return path.read_bytes()
    with _decompressing(path, kind, endings) as stream:
        return read_bounded(stream, path, size_limit(path.stat().st_size))


@contextlib.contextmanager
def _decompressing(path: Path, kind: str, endings: tuple[str, ...]) -> Iterator[Any]:
    """Open a compressed file as a stream of its content."""
    if kind == "zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive, path, endings)) as member:
            yield member
    elif kind == "zstd":
        import pyarrow as pa

        with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
            yield stream
    else:
        opener: Any = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}[kind]
        with opener(path, "rb") as stream:
            yield stream


def _only_member(archive: zipfile.ZipFile, path: Path, endings: tuple[str, ...]) -> zipfile.ZipInfo:
    """Return the only file of an archive that has one of some endings and is not hidden."""
    members = [member for member in archive.infolist() if member.filename.lower().endswith(endings)]
    members = [member for member in members if not Path(member.filename).name.startswith((".", "_"))]
    if len(members) != 1:
        raise InputError(
            f"{path}: is an archive of {len(members)} files that end in {', '.join(endings)}; give an archive of one, "
            "or the file itself"
        )
    return members[0]
