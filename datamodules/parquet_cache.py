"""Parquet files as one file of numbers that can be read row by row."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.table_file import unreadable
from lightning_dc.errors import InputError

_ROWS = 1 << 16  # converted at a time, at most
_NUMBERS = 1 << 22  # of so many columns that fewer rows have as many numbers: 32 MiB in float64
_BUFFER_BYTES = 1 << 14  # read at a time of each column, instead of all that a row group has of it
_TRIES = 10  # to put a cache into its place, where other processes make the same one
_FORMAT = 1
_EXACT_IN_FLOAT32 = ("bool", "int8", "int16", "uint8", "uint16", "halffloat", "float")


class ParquetCache:
    """The chosen columns of Parquet files in a ``.npy`` file, made once.

    A manifest beside it holds size, time and SHA-256 of each source. The cache is made again when a source has changed:
    when its size differs, or its time and its checksum do. It is made under another name and takes its own when it is
    whole; of processes that make the same one, the first to be done wins.

    Args:
        sources: the Parquet files, whose rows follow one another.
        columns: names of the columns of numbers.
        label: name of the column of labels, integers or text; None for none.
        folder: where caches are kept; each choice of columns has one of its own.
    """

    def __init__(self, sources: Sequence[Path], columns: Sequence[str], label: str | None, folder: Path) -> None:
        self.sources = list(sources)
        self.columns = list(columns)
        self.label = label
        choice = json.dumps([[path.name for path in self.sources], self.columns, label]).encode()
        self.folder = folder / hashlib.sha256(choice).hexdigest()[:16]

    @property
    def x(self) -> Path:
        """File of the samples."""
        return self.folder / "x.npy"

    def y(self) -> NDArray[np.int64] | None:
        """Class of each sample, (N,), -1 where unknown; text is numbered in alphabetical order."""
        return None if self.label is None else np.load(self.folder / "y.npy")

    def update(self) -> None:
        """Make the cache if there is none that fits the sources.

        Raises:
            InputError: a source can't be read or holds something else than numbers, or the folder can't be written.
        """
        if self._is_current():
            return
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=f".{self.folder.name}."))
        except OSError as error:
            raise InputError(
                f"cache={str(self.folder.parent)!r} can't be written ({error.strerror}); choose another folder"
            ) from error
        try:
            self._convert(scratch)
            self._install(scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _install(self, scratch: Path) -> None:
        """Give a whole cache its name, unless another process has done so."""
        for i in range(_TRIES):
            if self._is_current():
                return
            try:
                if self.folder.exists():  # of sources as they were
                    os.replace(self.folder, scratch / f"old-{i}")
                os.replace(scratch, self.folder)
            except OSError as error:  # another process was here since
                reason = error
                continue
            for old in self.folder.glob("old-*"):
                shutil.rmtree(old, ignore_errors=True)
            return
        raise InputError(f"cache={str(self.folder)!r} can't be replaced ({reason.strerror}); choose another folder")

    def _is_current(self) -> bool:
        path = self.folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
            if manifest["format"] != _FORMAT or self.x.stat().st_size != manifest["bytes"]:
                return False
            touched = False
            for source, known in zip(self.sources, manifest["sources"], strict=True):
                now = source.stat()
                if now.st_size != known["size"]:
                    return False
                if now.st_mtime_ns != known["mtime_ns"]:
                    if _sha256(source) != known["sha256"]:
                        return False
                    known["mtime_ns"], touched = now.st_mtime_ns, True
        except (OSError, ValueError, KeyError, TypeError):  # none, or none of ours
            return False
        if touched:
            with contextlib.suppress(OSError):  # of a folder that is only read, checksums are made again
                _write_whole(path, json.dumps(manifest))
        return True

    def _convert(self, folder: Path) -> None:
        from pyarrow import parquet
        from tqdm import tqdm

        sources: list[dict[str, Any]] = [
            {"size": s.st_size, "mtime_ns": s.st_mtime_ns} for s in (path.stat() for path in self.sources)
        ]
        n_rows, types = 0, set()
        for path in self.sources:
            try:
                with parquet.ParquetFile(path) as file:
                    n_rows += file.metadata.num_rows
                    schema = file.schema_arrow
            except Exception as error:  # damaged files make the parser fail in many ways
                raise unreadable(path, error) from error
            types |= {self._type(schema, column, path) for column in self.columns}
            if self.label is not None:
                self._require(schema, self.label, path)
        dtype = np.dtype(np.float32 if types <= set(_EXACT_IN_FLOAT32) else np.float64)
        labels: list[Any] = []
        n_together = max(1, min(n_rows, _ROWS, _NUMBERS // len(self.columns)))
        block = np.empty((n_together, len(self.columns)), dtype)
        bar = tqdm(total=n_rows, unit=" rows", desc="Converting Parquet", unit_scale=True)
        with bar, (folder / "x.npy").open("wb") as out:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (n_rows, len(self.columns))}
            np.lib.format.write_array_header_1_0(out, header)
            for path in self.sources:
                for table in self._tables(path, len(block)):
                    for j, column in enumerate(self.columns):
                        block[: table.num_rows, j] = self._numbers(table, column, path)
                    out.write(block[: table.num_rows].data)
                    if self.label is not None:
                        labels += table.column(self.label).to_pylist()
                    bar.update(table.num_rows)
            out.flush()
            os.fsync(out.fileno())
            n_bytes = out.tell()
        if self.label is not None:
            np.save(folder / "y.npy", _numbered(labels, self.label, self.sources[0]))
        for path, source in zip(self.sources, sources, strict=True):
            source["sha256"] = _sha256(path)
        manifest = {"format": _FORMAT, "sources": sources, "bytes": n_bytes}
        (folder / "manifest.json").write_text(json.dumps(manifest))

    def _tables(self, path: Path, n_together: int) -> Any:
        """Some rows at a time."""
        from pyarrow import parquet

        wanted = self.columns + ([] if self.label is None else [self.label])
        try:
            with parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
                yield from file.iter_batches(batch_size=n_together, columns=wanted)
        except InputError:
            raise
        except Exception as error:  # damage in the middle of a file
            raise unreadable(path, error) from error

    def _type(self, schema: Any, column: str, path: Path) -> str:
        import pyarrow as pa

        self._require(schema, column, path)
        kind = schema.field(column).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise InputError(f"{path}: column {column!r} holds {kind}, not numbers; choose others with columns")
        return str(kind)

    @staticmethod
    def _require(schema: Any, column: str, path: Path) -> None:
        if column not in schema.names:
            raise InputError(f"{path}: lacks column {column!r}, which the first file has; leave the file out")

    @staticmethod
    def _numbers(table: Any, column: str, path: Path) -> NDArray[Any]:
        values = table.column(column)
        if values.null_count > 0:
            raise InputError(f"{path}: column {column!r} has missing values; fill them, or leave the rows out")
        return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _numbered(labels: list[Any], name: str, path: Path) -> NDArray[np.int64]:
    known = [label for label in labels if label is not None]
    if all(isinstance(label, int) for label in known):
        return np.array([-1 if label is None else label for label in labels], np.int64)
    if all(isinstance(label, str) for label in known):
        number = {label: i for i, label in enumerate(sorted(set(known)))}
        return np.array([-1 if label is None else number[label] for label in labels], np.int64)
    raise InputError(f"{path}: label={name!r} holds neither integers nor text; choose another column")


def _write_whole(path: Path, text: str) -> None:
    """Replace a file that others may be reading."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    os.replace(scratch, path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
