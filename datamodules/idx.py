"""Reader of the IDX format of MNIST (http://yann.lecun.com/exdb/mnist/)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.decompression import check_size, size_limit
from lightning_dc.errors import InputError

_UNSIGNED_BYTE = 0x08
_SURPLUS_BYTES = 1 << 16  # behind the end, which are read for the message; a bomb would have more


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Args:
        path: the file; gzip is recognised by its first bytes.

    Returns:
        An array of the shape in the header.

    Raises:
        InputError: the file cannot be read, is corrupt, truncated or of another type, or too large when it is
            decompressed.
    """
    try:
        with _open(path) as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
                raise InputError(f"{path}: starts with bytes {head.hex()}, not with those of an IDX file of bytes")
            sizes = stream.read(4 * head[3])
            shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * head[3], 4))
            header = 4 + 4 * head[3]
            expected = header + math.prod(shape)
            content = head + sizes + _read_rest(stream, path, expected)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: can't be read ({error}); get the file again") from error
    if head[3] == 0 or len(content) != expected:
        raise InputError(f"{path}: holds {len(content)} bytes, but its header {shape} needs {expected}; get it again")
    try:
        return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
    except ValueError as error:  # an array cannot have as many dimensions, or such long ones
        raise InputError(f"{path}: its header {shape} describes no array ({error}); get it again") from error


def _open(path: Path) -> Any:
    """Open a file, decompressed if it starts like gzip."""
    with path.open("rb") as file:
        is_zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if is_zipped else path.open("rb")


def _read_rest(stream: Any, path: Path, expected: int) -> bytes:
    """Read the rest of a file, and of a zipped one little more than the header tells, and no more than is allowed."""
    if not isinstance(stream, gzip.GzipFile):
        return bytes(stream.read())
    check_size(expected, path, size_limit(path.stat().st_size))
    content = bytearray()
    while len(content) < expected + _SURPLUS_BYTES and (chunk := stream.read(_SURPLUS_BYTES)):
        content += chunk
    return bytes(content)
