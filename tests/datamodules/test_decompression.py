"""Files that are small until they are decompressed, and links and names that lead out of a folder or archive."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
from PIL import Image

from datamodules import ArrayDataModule, ImageFolderDataModule, TableDataModule, TextDataModule
from datamodules.decompression import read_bounded, size_limit
from datamodules.idx import read_idx
from datamodules.reuters.sgml import read_sgml
from lightning_dc.errors import InputError
from tests.helpers.fake_files import write_fake_images, write_fake_texts
from tests.helpers.fake_reuters import document

MESSAGE = r"holds \d+ bytes or more when it is decompressed, but the limit for a file of \d+ bytes is \d+; if you trust"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that a test reaches at once: 64 KiB."""
    monkeypatch.setattr("datamodules.decompression._ALWAYS_BYTES", 1 << 16)
    monkeypatch.setattr("datamodules.decompression._CHUNK_BYTES", 1 << 12)


def test_the_limit_grows_with_the_file_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [size_limit(n) for n in (0, 10, 1000, 1 << 40)] == [1 << 16, 1 << 16, 100_000, 1 << 34]


def test_no_more_is_read_than_the_limit_and_a_piece(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    stream = io.BytesIO(bytes(1 << 20))
    with pytest.raises(InputError, match="x: holds 12288 bytes or more"):
        read_bounded(stream, tmp_path / "x", 10_000)
    assert stream.tell() < 15_000


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", content)
    return out.getvalue()


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zipped, zstd])
@pytest.mark.parametrize("kind", [TableDataModule, TextDataModule])
def test_tables(tmp_path: Path, compress: Callable[[bytes], bytes], kind: Any) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(compress(b"text,b\n" + b"1,2\n" * 1_000_000))
    with pytest.raises(InputError, match=rf"t\.csv\.gz: {MESSAGE}"):
        kind(str(path)).setup("fit")


@pytest.mark.parametrize("save", [np.savez_compressed, None])
def test_arrays(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "x.npz"
    if save is None:
        scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(np.ones((1000, 1000))))
    else:
        save(path, x=np.zeros((1000, 1000)), y=np.zeros(1000))
    with pytest.raises(InputError, match=rf"x\.npz: {MESSAGE}"):
        ArrayDataModule(str(path)).setup("fit")


@pytest.mark.parametrize("rows", [1000, 1 << 31, 10])
def test_idx(tmp_path: Path, rows: int) -> None:
    """Content as the header tells it, less, and much more."""
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in (rows, 28, 28))
    path.write_bytes(gzip.compress(header + bytes(1000 * 28 * 28)))
    message = r"holds 131088 bytes, but its header \(10, 28, 28\) needs 7856" if rows == 10 else MESSAGE
    with pytest.raises(InputError, match=rf"t10k-images-idx3-ubyte\.gz: {message}"):
        read_idx(path)


def tar(path: Path, mode: str, *members: tuple[str, bytes | None]) -> Path:
    """A tar archive; a member without content is a link to /etc/hostname."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content or b""))
    return path


NEWS = document().encode()


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("name", ["b.sgm", "b.txt"])
def test_archives_of_news(tmp_path: Path, mode: str, name: str) -> None:
    assert len(read_sgml(tar(tmp_path / "small.tar.gz", mode, ("a.sgm", NEWS), (name, NEWS)))) >= 1
    path = tar(tmp_path / "news.tar.gz", mode, ("a.sgm", NEWS), (name, bytes(1 << 22)))
    with pytest.raises(InputError, match=rf"news\.tar\.gz: {MESSAGE}"):
        read_sgml(path)


@pytest.mark.parametrize("member", [("/etc/a.sgm", NEWS), ("../a.sgm", NEWS), ("x/../../a.sgm", NEWS), ("a.sgm", None)])
def test_members_that_lead_out_of_an_archive(tmp_path: Path, member: Any) -> None:
    path = tar(tmp_path / "news.tar.gz", "w:gz", member)
    with pytest.raises(InputError, match=r"news\.tar\.gz: .*a\.sgm is no file in the archive; give an archive without"):
        read_sgml(path)


def test_links_that_lead_out_of_a_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("L", (4, 4), 9).save(outside / "x.png")
    (outside / "x.txt").write_text("a secret")
    (outside / "x.sgm").write_bytes(NEWS)
    images = write_fake_images(tmp_path / "images", flat=True)
    texts = write_fake_texts(tmp_path / "texts")
    news = tmp_path / "news"
    news.mkdir()
    (news / "a.sgm").write_bytes(NEWS)
    for read, link, target in (
        (lambda: ImageFolderDataModule(str(images), size=4).setup("fit"), images / "x.png", "x.png"),
        (lambda: ImageFolderDataModule(str(images), size=4).setup("fit"), images / "folder", "."),
        (lambda: TextDataModule(str(texts)).setup("fit"), texts / "topic0" / "x.txt", "x.txt"),
        (lambda: read_sgml(news), news / "x.sgm", "x.sgm"),
    ):
        read()
        link.symlink_to(outside / target)
        with pytest.raises(InputError, match=rf"{link.name}: is a symbolic link that leads out of the folder; copy"):
            read()
        link.unlink()
        if link.parent == images and target == "x.png":
            link.symlink_to("000.png")  # a link within the folder is a file of it
            read()
            link.unlink()
    (tmp_path / "shortcut").symlink_to(images)  # the path itself is the user's choice
    ImageFolderDataModule(str(tmp_path / "shortcut"), size=4).setup("fit")


@pytest.mark.slow
def test_a_bomb_takes_little_memory(tmp_path: Path) -> None:
    """With the limits as they are: 1 MB of gzip that holds 1 GiB."""
    path = tmp_path / "train-images-idx3-ubyte.gz"
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in (1_370_000, 28, 28))
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(header)
        for _ in range(1 << 6):
            file.write(bytes(1 << 24))
    code = f"import sys; from pathlib import Path; from datamodules.idx import read_idx; read_idx(Path({str(path)!r}))"
    bound = lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 31, 1 << 31))  # noqa: E731
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=bound, check=False)
    assert "bytes or more when it is decompressed, but the limit" in run.stderr, run.stderr
