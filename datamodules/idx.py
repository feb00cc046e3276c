"""Reader of the IDX format of MNIST (http://yann.lecun.com/exdb/mnist/)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_dc.errors import InputError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Args:
        path: the file; gzip is recognised by its first bytes.

    Returns:
        An array of the shape in the header.

    Raises:
        InputError: the file cannot be read, is corrupt, truncated or of another type.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: can't be read ({error}); get the file again") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise InputError(f"{path}: starts with bytes {content[:4].hex()}, not with those of an IDX file of bytes")
    n_dims = content[3]
    header = 4 + 4 * n_dims
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4))
    expected = header + math.prod(shape)
    if n_dims == 0 or len(content) != expected:
        raise InputError(f"{path}: holds {len(content)} bytes, but its header {shape} needs {expected}; get it again")
    try:
        return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
    except ValueError as error:  # an array cannot have as many dimensions, or such long ones
        raise InputError(f"{path}: its header {shape} describes no array ({error}); get it again") from error
