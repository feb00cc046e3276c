"""Values of the columns of a table as text or numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_dc.errors import InputError


def as_strings(column: Any, name: str, path: Path) -> list[str | None]:
    """Return the values of a column as text; a missing or empty value is None.

    Raises:
        InputError: the column holds something that is neither text, number, truth value nor date.
    """
    import pyarrow as pa

    column = decode(column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        raise InputError(f"{path}: column {name!r} is no UTF-8 text; save the file as UTF-8, or leave the column out")
    try:
        strings: list[str | None] = [value or None for value in column.cast(pa.string()).to_pylist()]
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{path}: column {name!r} holds {column.type}, not values of a category") from error
    return strings


def holds_numbers(kind: Any) -> bool:
    """Tell whether an Arrow type, or that of the values of a dictionary, is one of numbers, truth values or nothing."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    exact = types.is_integer(kind) or types.is_boolean(kind) or types.is_null(kind) or types.is_decimal(kind)
    return bool(exact or types.is_floating(kind))


def leaf_type(kind: Any) -> Any:
    """Return the Arrow type of the numbers in lists, or the type itself."""
    import pyarrow as pa

    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return leaf_type(kind.value_type) if _is_list(kind) else kind


def as_numbers(column: Any, name: str, path: Path, remedy: str) -> Any:
    """Return the values of a column as numbers, NaN where missing.

    Args:
        column: a column of a table.
        name: its name.
        path: the file, for messages.
        remedy: advice for a column of text, for messages.

    Returns:
        A NumPy array, (N,): float32 if that holds the type of the column exactly, otherwise float64.

    Raises:
        InputError: the column holds text, dates or infinite values; the message names the first row, from 0, with one.
    """
    column = decode(column)
    if not holds_numbers(column.type):
        raise InputError(f"{path}: column {name!r} holds {first_text(column)}, not numbers; {remedy}")
    values = _numbers(column)
    _check_no_infinity(values, name, path)
    return values


def list_width(column: Any) -> int | None:
    """Return the number of numbers in each list of a column, (N, D); None if they differ or are no numbers.

    Lists may hold lists, as those of an image do. A missing list may have any length.
    """
    from pyarrow import compute, types

    column, width = decode(column), 1
    if not _is_list(column.type):
        return None
    while _is_list(column.type):
        lengths = compute.unique(compute.list_value_length(column).drop_null()).to_pylist()
        if len(lengths) != 1 or lengths[0] == 0:
            return None
        width *= lengths[0]
        column = decode(column.flatten())
    return width if holds_numbers(column.type) and not types.is_null(column.type) else None


def lists_as_numbers(column: Any, name: str, path: Path) -> NDArray[Any]:
    """Return the numbers of a column of lists of one length, NaN where missing.

    Args:
        column: a column with a :func:`list_width`.
        name: its name.
        path: the file, for messages.

    Returns:
        An array, (N, D): float32 if that holds the type of the numbers exactly, otherwise float64.

    Raises:
        InputError: a list holds an infinite value; the message names the first row, from 0, with one.
    """
    values = list_numbers(column)
    _check_no_infinity(values, name, path)
    return values


def list_numbers(column: Any) -> NDArray[Any]:
    """Return the numbers of a column, (N,), or of a column of lists of one length, (N, D), NaN where missing."""
    return _list_numbers(decode(column))


def has_null(column: Any) -> bool:
    """Tell whether a column of lists lacks a list or a number."""
    while column.null_count == 0 and column.type.num_fields > 0:
        column = column.flatten()
    return bool(column.null_count > 0)


def first_text(column: Any) -> str:
    """Return a description of the first value that is not a number, with its row."""
    for row, value in enumerate(decode(column).to_pylist()):
        try:
            if value is not None:
                float(value)
        except (TypeError, ValueError):
            return f"{value!r} in row {row}"
    return str(column.type)


def _list_numbers(column: Any) -> NDArray[Any]:
    if not _is_list(column.type):
        return _numbers(column)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    inner = _list_numbers(decode(column.flatten())) if there.any() else np.empty(0, np.float32)  # without missing ones
    inner = inner.reshape(int(there.sum()), -1)
    values = np.full((len(column), inner.shape[1]), np.nan, inner.dtype)
    values[there] = inner
    return values


def _numbers(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    kind = column.type
    narrow = kind in (pa.float16(), pa.float32(), pa.bool_(), pa.int8(), pa.uint8(), pa.int16(), pa.uint16())
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan, np.float32)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    numbers = column.cast(pa.float32() if narrow else pa.float64(), safe=False).fill_null(0)
    values: NDArray[Any] = numbers.to_numpy(zero_copy_only=False).copy()
    values[missing] = np.nan
    return values


def _check_no_infinity(values: NDArray[Any], name: str, path: Path) -> None:
    infinite = np.isinf(values).reshape(len(values), -1).any(axis=1)
    if infinite.any():
        raise InputError(f"{path}: column {name!r} holds an infinite value in row {int(infinite.argmax())}; replace it")


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def decode(column: Any) -> Any:
    """Return a column as one ``pyarrow.Array`` without a dictionary or an extension of its type."""
    import pyarrow as pa

    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column, pa.ChunkedArray):  # without any chunk, or too large for one
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
