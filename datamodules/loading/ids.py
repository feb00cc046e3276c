"""Ids of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_dc.errors import InputError


def check_ids(ids: Sequence[int] | Sequence[str] | NDArray[Any], n_samples: int, source: str) -> NDArray[Any]:
    """Check the ids that a user gives to the samples.

    Args:
        ids: integers or strings, (N,).
        n_samples: number of samples N.
        source: name of their source in messages.

    Returns:
        The ids as an array, (N,).

    Raises:
        InputError: the number of ids or their type is wrong, or an id comes twice; the message names its rows.

    Example:
        >>> check_ids(["a", "b"], 2, "load()")
        array(['a', 'b'], dtype='<U1')
    """
    array = np.asarray(ids)
    if array.shape != (n_samples,) or array.dtype.kind not in "iuU":
        raise InputError(
            f"ids of {source} have shape {array.shape} and dtype {array.dtype}; give one integer or string a sample, "
            f"({n_samples},)"
        )
    unique, first, counts = np.unique(array, return_index=True, return_counts=True)
    if len(unique) < n_samples:
        twice = unique[counts > 1][first[counts > 1].argmin()]
        rows = np.flatnonzero(array == twice)[:2].tolist()
        raise InputError(
            f"ids of {source} hold {twice.item()!r} twice, in rows {rows[0]} and {rows[1]}; make them unique"
        )
    return array
