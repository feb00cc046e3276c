"""Tests of the IDX reader against files that the test writes, whole and broken."""

from __future__ import annotations

import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.idx import read_idx
from lightning_dc.errors import InputError


def idx(array: np.ndarray) -> bytes:
    """Return a file in the format that its page describes: magic number, big-endian sizes, bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape) + array.tobytes()


def array_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


GOOD = idx(array_of((3, 4, 5)))


def read(content: bytes, folder: Path) -> np.ndarray:
    path = folder / "file-ubyte"
    path.write_bytes(content)
    return read_idx(path)


@pytest.mark.parametrize("shape", [(6,), (1, 1), (3, 4, 5), (2, 3, 2, 2), (0,), (0, 28, 28)])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_array_comes_back(tmp_path: Path, shape: tuple[int, ...], zipped: bool) -> None:
    array = array_of(shape)
    content = idx(array)
    actual = read(gzip.compress(content, mtime=0) if zipped else content, tmp_path)
    assert actual.dtype == np.uint8
    np.testing.assert_array_equal(actual, array, strict=True)


@pytest.mark.parametrize("zipped", [False, True])
def test_every_truncation_is_refused(tmp_path: Path, zipped: bool) -> None:
    content = gzip.compress(GOOD, mtime=0) if zipped else GOOD
    for length in range(len(content)):
        with pytest.raises(InputError, match="file-ubyte"):
            read(content[:length], tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with bytes"),
        (b"\x00\x00\x08", "starts with bytes 000008"),
        (b"\x00\x00\x0d\x01" + GOOD[4:], "starts with bytes 00000d01"),
        (b"\x01" + GOOD[1:], "starts with bytes 01000803"),
        (b"<html>404</html>", "starts with bytes 3c68746d"),
        (b"\x00\x00\x08\x00", "its header"),
        (b"\x00\x00\x08\x00\x05", "its header"),
        (GOOD + b"\x00", r"holds 77 bytes, but its header \(3, 4, 5\) needs 76"),
        (gzip.compress(GOOD + b"\x00", mtime=0), "holds 77 bytes"),
        (gzip.compress(GOOD, mtime=0)[:-9], "can't be read"),
        (gzip.compress(GOOD, mtime=0) + b"trailing", "can't be read"),
        (b"\x1f\x8b" + GOOD, "can't be read"),
        (bytes([0, 0, 8, 65]) + struct.pack(">65I", *[1] * 65) + b"\x00", "describes no array"),
        (bytes([0, 0, 8, 4]) + struct.pack(">4I", 0, *[2**32 - 1] * 3), "describes no array"),
    ],
)
def test_broken_content_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(content, tmp_path)


def test_a_flipped_bit_in_a_gzip_file_is_refused(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(GOOD, mtime=0))
    content[len(content) // 2] ^= 1
    with pytest.raises(InputError, match="can't be read"):
        read(bytes(content), tmp_path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: can't be read"):
        read_idx(tmp_path / "absent")
    with pytest.raises(InputError, match="can't be read"):
        read_idx(tmp_path)


def array_or_none(content: bytes) -> np.ndarray | None:
    """Return the array; None if the reader refuses the file. Any other error is raised."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return read(content, Path(folder))
        except InputError:
            return None


HEADS = st.sampled_from([b"", b"\x00\x00\x08", b"\x00\x00\x08\x01", b"\x00\x00\x08\x02\x00\x00\x00", b"\x1f\x8b\x08"])


@settings(deadline=None, max_examples=200)
@given(HEADS, st.binary(max_size=40), st.booleans())
def test_random_bytes_give_an_array_of_their_size_or_an_input_error(head: bytes, tail: bytes, zipped: bool) -> None:
    content = head + tail
    array = array_or_none(gzip.compress(content, mtime=0) if zipped else content)
    assert array is None or idx(array) == content


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_one_changed_byte_gives_an_array_or_an_input_error(place: int, byte: int) -> None:
    content = bytearray(GOOD)
    content[place] = byte
    array = array_or_none(bytes(content))
    assert idx(array) == bytes(content) if place >= 16 else array is None or idx(array) == bytes(content)
