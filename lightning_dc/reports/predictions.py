"""Cluster assignments as Parquet, NPZ or CSV files."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.files import check_ending, check_writable_folder, whole_file

_ROW_GROUP = 1 << 17  # rows that are written at a time
_COPIED_BYTES = 1 << 20  # bytes that are copied at a time
_Write = Callable[..., None]


def check_prediction_path(path: str | Path, *, overwrite: bool = False) -> Path:
    """Check, before any work is done, that a file of predictions can be written.

    Args:
        path: the file, ``.parquet``, ``.npz`` or ``.csv``.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the file has another ending, exists or is a folder, or its folder cannot be written.
    """
    check_ending(path, "output")
    path = Path(path)
    if path.is_dir():
        raise InputError(f"output={str(path)!r} is a folder; choose another name")
    if path.exists() and not overwrite:
        raise InputError(f"output={str(path)!r} exists; choose another name or add --output.overwrite true")
    check_writable_folder(path.parent, "output")
    return path


def write_predictions(
    path: Path,
    index: Tensor,
    z: Tensor | None,
    q: Tensor,
    *,
    is_soft: bool = True,
    others: Mapping[str, Tensor] | None = None,
    ids: NDArray[Any] | None = None,
) -> None:
    """Write predictions; the file appears whole or not at all.

    Args:
        path: ``.parquet`` or ``.csv`` (columns ``index``, ``cluster``, ``confidence``, ``q_0`` ..., ``z_0`` ...) or
            ``.npz`` (arrays ``index``, ``cluster``, ``confidence``, ``q``, ``z``).
        index: row of each sample in its source, (N,).
        z: embeddings, (N, D); None leaves them out.
        q: soft assignments, (N, K).
        is_soft: True writes soft assignments and confidence; False, for a hard head, leaves them out.
        others: further columns by name, (N,) each.
        ids: values of a column or array ``id`` beside the index, (N,), integers or strings; None leaves it out.
    """
    with prediction_stream(path, is_soft=is_soft) as write:
        write(index, z, q, others, ids)


@contextmanager
def prediction_stream(path: Path, *, is_soft: bool = True) -> Iterator[_Write]:
    """Write predictions in pieces; the file appears whole at the end, or not at all.

    Args:
        path: the file, as in :func:`write_predictions`.
        is_soft: as in :func:`write_predictions`.

    Yields:
        A function that writes the index, z, q, and optionally ``others`` and ``ids`` of some samples, as in
        :func:`write_predictions`.

    Raises:
        ValueError: there was no piece, or a piece has other columns, types or shapes than the first.
    """
    in_format = {".npz": _npz_stream, ".csv": _csv_stream}.get(path.suffix, _parquet_stream)
    is_empty = True
    with whole_file(path) as file, in_format(file, path.parent) as put:

        def write(
            index: Tensor,
            z: Tensor | None,
            q: Tensor,
            others: Mapping[str, Tensor] | None = None,
            ids: NDArray[Any] | None = None,
        ) -> None:
            nonlocal is_empty
            put(*_columns(index, z, q, is_soft=is_soft, others=others, ids=ids))
            is_empty = False

        yield write
        if is_empty:
            raise ValueError(f"{path}: there are no predictions to write")


@contextmanager
def _parquet_stream(file: Any, _: Path) -> Iterator[_Write]:
    """Yield a function that writes pieces to a Parquet file, one row group at a time."""
    from pyarrow import parquet

    with _table_stream(lambda schema: parquet.ParquetWriter(file, schema)) as put:
        yield put


@contextmanager
def _csv_stream(file: Any, _: Path) -> Iterator[_Write]:
    """Yield a function that writes pieces to a CSV file in UTF-8."""
    from pyarrow import csv

    with _table_stream(lambda schema: csv.CSVWriter(file, schema)) as put:
        yield put


@contextmanager
def _table_stream(open_writer: Callable[[Any], Any]) -> Iterator[_Write]:
    """Yield a function that writes pieces as tables of at least 2^17 rows, by a writer of Arrow for their schema."""
    import pyarrow

    pending: list[Any] = []
    with ExitStack() as stack:
        writer: Any = None

        def flush() -> None:
            nonlocal writer
            table = pyarrow.concat_tables(pending)
            if writer is None:
                writer = stack.enter_context(open_writer(table.schema))
            writer.write_table(table)
            pending.clear()

        def put(columns: dict[str, Any], tables: dict[str, Any]) -> None:
            for letter, table in tables.items():
                columns |= {f"{letter}_{j}": table[:, j] for j in range(table.shape[1])}
            pending.append(pyarrow.table(columns))
            if sum(map(len, pending)) >= _ROW_GROUP:
                flush()

        yield put
        if pending:
            flush()


@contextmanager
def _npz_stream(file: Any, folder: Path) -> Iterator[_Write]:
    """Yield a function that writes pieces to an NPZ file.

    In the archive, the arrays follow one another, and the header of each has its length. So each array is kept in a
    temporary file until all pieces are written.
    """
    with ExitStack() as stack:
        waiting: dict[str, tuple[Any, Any]] = {}
        n_rows = 0

        def put(columns: dict[str, Any], tables: dict[str, Any]) -> None:
            nonlocal n_rows
            arrays = {**columns, **tables}
            if not waiting:
                for name, array in arrays.items():
                    waiting[name] = stack.enter_context(tempfile.TemporaryFile(dir=folder)), array[:0]
            kinds, first = _kinds(arrays), _kinds({name: empty for name, (_, empty) in waiting.items()})
            if kinds != first:
                raise ValueError(f"a piece of predictions has {kinds}, but the first one had {first}")
            for name, array in arrays.items():
                array.tofile(waiting[name][0])
            n_rows += len(columns["index"])

        yield put
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, (part, empty) in waiting.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    header = {"descr": empty.dtype.str, "fortran_order": False, "shape": (n_rows, *empty.shape[1:])}
                    np.lib.format.write_array_header_1_0(member, header)
                    part.seek(0)
                    shutil.copyfileobj(part, member, _COPIED_BYTES)


def _kinds(arrays: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the type of each array, and the shape of one of its rows."""
    return {name: (array.dtype.str, array.shape[1:]) for name, array in arrays.items()}


def _columns(
    index: Tensor,
    z: Tensor | None,
    q: Tensor,
    *,
    is_soft: bool,
    others: Mapping[str, Tensor] | None,
    ids: NDArray[Any] | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays of predictions by name: those of one dimension, and those of two."""
    confidence, cluster = q.max(1)
    columns: dict[str, Any] = {
        "index": index.cpu().numpy(),
        **({} if ids is None else {"id": ids}),
        "cluster": cluster.to(dtype=index.dtype).cpu().numpy(),
    }
    tables: dict[str, Any] = {}
    if is_soft:
        columns["confidence"] = confidence.cpu().numpy()
        tables["q"] = q.cpu().numpy()
    if z is not None:
        tables["z"] = z.cpu().numpy()
    columns |= {name: column.cpu().numpy() for name, column in (others or {}).items()}
    return columns, tables
