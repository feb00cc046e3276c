"""Cache of Parquet files: one file of numbers that can be read row by row."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.loading.file_rows import FileRows
from datamodules.messages import unreadable_file
from datamodules.parquet.sources import ParquetSource
from datamodules.tables.columns import check_unique_columns
from datamodules.tables.values import has_null, holds_numbers, leaf_type, list_numbers, list_width
from lightning_dc.errors import InputError

_ROWS = 1 << 16  # limit of the rows that are converted at a time
_NUMBERS = 1 << 22  # limit of the numbers that are converted at a time, for many columns: 32 MiB in float64
_BUFFER_BYTES = 1 << 14  # read at a time of each column, instead of all of its bytes in a row group
_PAGES_BYTES = 3 << 20  # of a column that is being read: dictionary, page and its compressed bytes, 1 MiB each
_OPEN_BYTES = 1 << 25  # limit for all columns that are being read
_TRIES = 10  # to put a cache into its place while other processes make the same one
_FORMAT = 1
_EXACT_IN_FLOAT32 = ("bool", "int8", "int16", "uint8", "uint16", "halffloat", "float")


class ParquetCache:
    """Cache of the chosen columns of Parquet files in a ``.npy`` file, which is made once.

    A manifest beside the file holds size, time and SHA-256 of each source. The cache is made again when a source has
    changed, that is when its size differs, or when both its time and its checksum differ. It is made under a temporary
    name and gets its own name, which contains a checksum of the sources, when it is complete; if several processes make
    the same cache, the first one to finish wins. After a cache has been made, the caches of earlier states of the
    sources are removed, so that there is one at any time.

    Args:
        sources: the Parquet files, whose rows follow one another.
        columns: names of the columns of numbers, or of lists of numbers.
        label: name of the column of labels, integers or text; None for no labels.
        folder: folder of the caches; each choice of columns has a cache of its own.
        widths: number of inputs of each column of lists; None if there are no such columns.
    """

    def __init__(
        self,
        sources: Sequence[ParquetSource],
        columns: Sequence[str],
        label: str | None,
        folder: Path,
        widths: Mapping[str, int] | None = None,
    ) -> None:
        self.sources = [source.path for source in sources]
        self.columns = list(columns)
        self.label = label
        self.folder = folder
        self._keys = {source.path: source.keys for source in sources}
        self._widths = {name: (widths or {}).get(name, 1) for name in self.columns}
        self._lists = set(widths or {})
        names = [[path.name, self._keys[path]] if self._keys[path] else path.name for path in self.sources]
        choice = [names, self.columns, label, *([dict(widths)] if widths else [])]
        self._choice = _digest(json.dumps(choice).encode())

    def read(self) -> tuple[FileRows, NDArray[np.int64] | None]:
        """Return the samples and their classes, from a cache that fits the sources.

        Returns:
            Samples, and the class of each, (N,), -1 where unknown, or None without a label. Classes that are text are
            numbered in alphabetical order.

        Raises:
            InputError: as for :meth:`update`.
        """
        for _ in range(_TRIES):
            folder = self.update()
            with contextlib.suppress(FileNotFoundError):  # another process has replaced it in the meantime
                return FileRows.of_npy(folder / "x.npy"), None if self.label is None else np.load(folder / "y.npy")
        raise self._changes_too_fast()

    def update(self) -> Path:
        """Make the cache if there is none that fits the sources, and return its folder.

        Raises:
            InputError: a source cannot be read or does not hold numbers, or the folder cannot be written.
        """
        for _ in range(_TRIES):
            folder = self._find_current() or self._make()
            if folder is not None:
                return folder
        raise self._changes_too_fast()

    def _make(self) -> Path | None:
        """Make the cache and return its folder; None if a source has changed since it was converted."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=self.folder, prefix=f".{self._choice}."))
        except OSError as error:
            raise InputError(
                f"cache={str(self.folder)!r} can't be written ({error.strerror}); choose another folder"
            ) from error
        try:
            return self._install(scratch, self.folder / f"{self._choice}-{self._convert(scratch)}")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _install(self, scratch: Path, folder: Path) -> Path | None:
        """Give a complete cache its name, unless another process has done so, and remove outdated caches.

        If a source has changed since it was converted, this cache is outdated, too.

        Returns:
            Folder of the cache that fits the sources; None if there is none.
        """
        for i in range(_TRIES):
            current = self._find_current()
            if current is not None:
                return current
            try:
                if folder.exists():  # damaged
                    os.replace(folder, scratch / f"old-{i}")
                os.replace(scratch, folder)
            except OSError as error:  # another process was faster
                reason = error
                continue
            for old in [*folder.glob("old-*"), *self.folder.glob(f"{self._choice}*")]:
                if not self._is_current(old):
                    shutil.rmtree(old, ignore_errors=True)
            return self._find_current()
        raise InputError(f"cache={str(folder)!r} can't be replaced ({reason.strerror}); choose another folder")

    def _changes_too_fast(self) -> InputError:
        return InputError(f"{self.sources[0]}: changes faster than it can be read; wait until it is written")

    def _find_current(self) -> Path | None:
        """Return the folder of the cache that fits the sources; None if there is none."""
        return next(filter(self._is_current, self.folder.glob(f"{self._choice}-*")), None)

    def _is_current(self, folder: Path) -> bool:
        path = folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
            if manifest["format"] != _FORMAT or (folder / "x.npy").stat().st_size != manifest["bytes"]:
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
        except (OSError, ValueError, KeyError, TypeError):  # there is no manifest, or a foreign one
            return False
        if touched:
            with contextlib.suppress(OSError):  # in a read-only folder, checksums are computed again each time
                _replace_text(path, json.dumps(manifest))
        return True

    def _convert(self, folder: Path) -> str:
        """Make the cache in a folder, and return a checksum of the sources."""
        sources = [_size_and_time(path) for path in self.sources]
        n_rows, types = 0, set()
        for path in self.sources:
            with _open(path) as file, _errors_naming(path):
                n_rows += file.metadata.num_rows
                schema = file.schema_arrow
            check_unique_columns(schema.names, path)
            types |= {self._type(schema, column, path) for column in self.columns}
            if self.label is not None and self.label not in self._keys[path]:
                self._require_column(schema, self.label, path)
        dtype = np.dtype(np.float32 if types <= set(_EXACT_IN_FLOAT32) else np.float64)
        n_bytes = self._write_numbers(folder / "x.npy", n_rows, dtype)
        if self.label is not None:
            np.save(folder / "y.npy", _number_labels(self._read_labels(self.label), self.label, self.sources[0]))
        for path, source in zip(self.sources, sources, strict=True):
            checksum = _sha256(path)
            if _size_and_time(path) != source:
                raise InputError(f"{path}: has changed while it was converted; wait until it is written")
            source["sha256"] = checksum
        manifest = {"format": _FORMAT, "sources": sources, "bytes": n_bytes}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return _digest("".join(source["sha256"] for source in sources).encode())

    def _write_numbers(self, path: Path, n_rows: int, dtype: np.dtype[Any]) -> int:
        """Write the columns of all sources, one row group after another, and return the size of the file in bytes."""
        from tqdm import tqdm

        shape = (n_rows, self._width(self.columns))
        bar = tqdm(total=n_rows * shape[1], unit=" numbers", desc="Converting Parquet", unit_scale=True)
        with bar, path.open("wb") as out:
            np.lib.format.write_array_header_1_0(out, {"descr": dtype.str, "fortran_order": False, "shape": shape})
            for source in self.sources:
                with _open(source) as file:
                    for number in range(file.num_row_groups):
                        self._write_group(out, source, file, number, dtype, bar)
            out.flush()
            os.fsync(out.fileno())
            return out.tell()

    def _write_group(self, out: Any, source: Path, file: Any, number: int, dtype: np.dtype[Any], bar: Any) -> None:
        """Write the rows of a row group.

        A reader holds pages of each column that it reads. If these would be too many, some columns are read at a time
        and written to a temporary file, one block of columns after another; the rows are put together when all blocks
        are there.
        """
        with _errors_naming(source):
            n_rows = file.metadata.row_group(number).num_rows
            blocks = _columns_together(file.metadata.row_group(number), self.columns)
            names_in_file = file.schema_arrow.names
        at_once = len(blocks) == 1
        with contextlib.nullcontext(out) if at_once else tempfile.TemporaryFile(dir=Path(out.name).parent) as waiting:
            for names in blocks:
                read = [name for name in names if name in names_in_file] or names_in_file[:1]
                for table in _read_tables(source, file, number, self._width(names), read):
                    rows = np.empty((table.num_rows, self._width(names)), dtype)
                    for name, place in self._places(names).items():
                        rows[:, place] = self._values(table, name, source)
                    waiting.write(rows.data)
                    bar.update(rows.size)
            if at_once:
                return
            n_together = _rows_together(self._width(self.columns))
            for start in range(0, n_rows, n_together):
                rows = np.empty((min(n_together, n_rows - start), self._width(self.columns)), dtype)
                first = 0
                for width in map(self._width, blocks):
                    part = np.empty((len(rows), width), dtype)
                    waiting.seek((n_rows * first + start * width) * dtype.itemsize)
                    waiting.readinto(part.data)
                    rows[:, first : first + width] = part
                    first += width
                out.write(rows.data)

    def _read_labels(self, label: str) -> list[Any]:
        values: list[Any] = []
        for source in self.sources:
            with _open(source) as file:
                if label in self._keys[source] and label not in file.schema_arrow.names:
                    values += [self._keys[source][label]] * file.metadata.num_rows
                    continue
                for number in range(file.num_row_groups):
                    for table in _read_tables(source, file, number, 1, [label]):
                        values += table.column(label).to_pylist()
        return values

    def _type(self, schema: Any, column: str, path: Path) -> str:
        """Return the type of the numbers of a column."""
        if column in self._keys[path] and column not in schema.names:
            return type(self._keys[path][column]).__name__
        self._require_column(schema, column, path)
        kind = schema.field(column).type
        numbers = leaf_type(kind)
        if not holds_numbers(numbers) or (numbers != kind) != (column in self._lists):
            raise InputError(f"{path}: column {column!r} holds {kind}, not numbers; choose others with columns")
        return str(numbers)

    def _width(self, names: Sequence[str]) -> int:
        """Return the number of inputs of some columns."""
        return sum(self._widths[name] for name in names)

    def _places(self, names: Sequence[str]) -> dict[str, slice]:
        """Return the inputs of each of some columns, as places among those of all of them."""
        places, start = {}, 0
        for name in names:
            places[name] = slice(start, start + self._widths[name])
            start += self._widths[name]
        return places

    def _values(self, table: Any, column: str, path: Path) -> NDArray[Any]:
        """Return the values of a column, (n, 1), or of a column of lists, (n, D)."""
        if column not in table.schema.names:
            value = self._keys[path][column]
            if not isinstance(value, int):
                raise InputError(f"{path}: column {column!r} holds {value!r}, not numbers; choose others with columns")
            return np.full((table.num_rows, 1), value)
        if column not in self._lists:
            return self._numbers(table, column, path)[:, None]
        width = list_width(table.column(column))
        if width != self._widths[column]:
            raise InputError(
                f"{path}: column {column!r} holds lists of {width or 'different numbers of'} numbers, not "
                f"{self._widths[column]} each; choose others with columns"
            )
        values = list_numbers(table.column(column))
        if np.isnan(values).any() and has_null(table.column(column)):
            raise InputError(f"{path}: column {column!r} has missing values; fill them, or leave the rows out")
        return values

    @staticmethod
    def _require_column(schema: Any, column: str, path: Path) -> None:
        if column not in schema.names:
            raise InputError(f"{path}: lacks column {column!r}, which the first file has; leave the file out")

    @staticmethod
    def _numbers(table: Any, column: str, path: Path) -> NDArray[Any]:
        values = table.column(column)
        if values.null_count > 0:
            raise InputError(f"{path}: column {column!r} has missing values; fill them, or leave the rows out")
        return list_numbers(values)


@contextlib.contextmanager
def _errors_naming(path: Path) -> Iterator[None]:
    """Turn any error into one that names the file, since damaged files make the parser fail in many ways."""
    try:
        yield
    except Exception as error:
        raise unreadable_file(path, error) from error


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a Parquet file whose pages are read one by one, instead of a row group at once."""
    from pyarrow import parquet

    with _errors_naming(path):
        file = parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    with file:
        yield file


def _read_tables(path: Path, file: Any, number: int, width: int, names: Sequence[str]) -> Iterator[Any]:
    """Yield columns of a row group, some rows at a time, fewer if the columns are of many inputs."""
    with _errors_naming(path):
        n_told, n_read = file.metadata.row_group(number).num_rows, 0
        for table in file.iter_batches(_rows_together(width), row_groups=[number], columns=names):
            yield table
            n_read += table.num_rows
        if n_read != n_told:
            raise ValueError(f"row group {number} has {n_read} rows, but tells of {n_told}")


def _rows_together(n_columns: int) -> int:
    """Return the number of rows that are converted at a time."""
    return max(1, min(_ROWS, _NUMBERS // n_columns))


def _columns_together(group: Any, columns: Sequence[str]) -> list[list[str]]:
    """Divide columns of a row group into blocks, in their order, of which a reader may hold the pages."""
    held = dict.fromkeys(columns, 0)  # nothing of a column that a folder's name stands for
    for chunk in (group.column(i) for i in range(group.num_columns)):
        path = chunk.path_in_schema  # of a list, it goes on after the name
        name = path if path in held else next((name for name in held if path.startswith(f"{name}.")), None)
        if name is not None:
            held[name] += min(chunk.total_uncompressed_size, _PAGES_BYTES)
    blocks: list[list[str]] = []
    n_bytes = 0
    for name in columns:
        n_bytes += held[name]
        if not blocks or n_bytes > _OPEN_BYTES:
            blocks.append([])
            n_bytes = held[name]
        blocks[-1].append(name)
    return blocks


def _number_labels(labels: list[Any], name: str, path: Path) -> NDArray[np.int64]:
    """Return labels as integers, (N,), -1 where missing; text is numbered in alphabetical order."""
    known = [label for label in labels if label is not None]
    if all(isinstance(label, int) for label in known):
        return np.array([-1 if label is None else label for label in labels], np.int64)
    if all(isinstance(label, str) for label in known):
        number = {label: i for i, label in enumerate(sorted(set(known)))}
        return np.array([-1 if label is None else number[label] for label in labels], np.int64)
    raise InputError(f"{path}: label={name!r} holds neither integers nor text; choose another column")


def _replace_text(path: Path, text: str) -> None:
    """Replace a file that another process may be reading."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    os.replace(scratch, path)


def _size_and_time(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
