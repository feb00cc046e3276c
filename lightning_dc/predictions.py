"""Files of cluster assignments."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.errors import InputError

_ENDINGS = (".parquet", ".npz")
_ROW_GROUP = 1 << 17  # rows that are written at a time
_Write = Callable[..., None]


def check_prediction_path(path: str | Path, *, overwrite: bool = False) -> Path:
    """Check, before any work is done, that a file of predictions can be written.

    Args:
        path: the file, ``.parquet`` or ``.npz``.
        overwrite: an existing file may be replaced.

    Raises:
        InputError: another ending, a file that exists, a folder, or a folder that can't be written.
    """
    check_ending(path, "output")
    path = Path(path)
    if path.is_dir():
        raise InputError(f"output={str(path)!r} is a folder; choose another name")
    if path.exists() and not overwrite:
        raise InputError(f"output={str(path)!r} exists; choose another name or add --output.overwrite true")
    check_writable_folder(path.parent, "output")
    return path


def check_ending(path: str | Path, argument: str, endings: Sequence[str] = _ENDINGS) -> None:
    """Check that a file has an ending that names its format.

    Args:
        path: the file.
        argument: what error messages call it.
        endings: those that it may have; by default those of files of predictions.

    Raises:
        InputError: another ending.
    """
    if Path(path).suffix not in endings:
        raise InputError(f"{argument}={str(path)!r} must end in {' or '.join(endings)}")


def check_writable_folder(folder: Path, argument: str) -> None:
    """Create a folder where needed, and check that files can be written there.

    Raises:
        InputError: they can't.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{argument}: the folder {str(folder)!r} can't be written ({error.strerror}); choose another one"
        ) from error


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
        path: ``.parquet`` (columns ``index``, ``cluster``, ``confidence``, ``q_0`` ..., ``z_0`` ...) or ``.npz``
            (arrays ``index``, ``cluster``, ``confidence``, ``q``, ``z``).
        index: place of each sample in its data, (N,).
        z: embeddings, (N, D); None leaves them out.
        q: soft assignments, (N, K).
        is_soft: they say more than the cluster; if not, confidence and soft assignments are left out.
        others: further columns by name, (N,) each.
        ids: column or array ``id`` beside the index, (N,), integers or strings; None leaves it out.
    """
    if path.suffix == ".npz":
        columns, tables = _columns(index, z, q, is_soft=is_soft, others=others, ids=ids)
        with whole_file(path) as file:
            np.savez_compressed(file, **columns, **tables)
    else:
        with prediction_stream(path, is_soft=is_soft) as write:
            write(index, z, q, others, ids)


@contextmanager
def prediction_stream(path: Path, *, is_soft: bool = True) -> Iterator[_Write]:
    """Write predictions in pieces to a ``.parquet`` file; it appears whole at the end, or not at all.

    Args:
        path: the file.
        is_soft: as in :func:`write_predictions`.

    Yields:
        A function of the index, z, q, and optionally ``others`` and ``ids`` of some samples, as in
        :func:`write_predictions`.
    """
    import pyarrow
    from pyarrow import parquet

    pending: list[Any] = []
    with whole_file(path) as file, ExitStack() as stack:
        writer: Any = None

        def flush() -> None:
            nonlocal writer
            table = pyarrow.concat_tables(pending)
            if writer is None:
                writer = stack.enter_context(parquet.ParquetWriter(file, table.schema))
            writer.write_table(table)
            pending.clear()

        def write(
            index: Tensor,
            z: Tensor | None,
            q: Tensor,
            others: Mapping[str, Tensor] | None = None,
            ids: NDArray[Any] | None = None,
        ) -> None:
            columns, tables = _columns(index, z, q, is_soft=is_soft, others=others, ids=ids)
            for letter, table in tables.items():
                columns |= {f"{letter}_{j}": table[:, j] for j in range(table.shape[1])}
            pending.append(pyarrow.table(columns))
            if sum(map(len, pending)) >= _ROW_GROUP:
                flush()

        yield write
        if pending:
            flush()


def _columns(
    index: Tensor,
    z: Tensor | None,
    q: Tensor,
    *,
    is_soft: bool,
    others: Mapping[str, Tensor] | None,
    ids: NDArray[Any] | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays of one dimension, and of two."""
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


@contextmanager
def whole_file(path: Path) -> Iterator[Any]:
    """A binary file under another name that takes its own when all is written; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextmanager
def whole_csv(path: Path) -> Iterator[Any]:
    """A text file for a CSV writer, as :func:`whole_file`."""
    with whole_file(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield text
