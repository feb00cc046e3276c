"""Samples and weights in the forms that scikit-learn accepts, as tensors."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.kmeans.owned_samples import as_float, as_weights, largest_magnitude, not_finite_error
from lightning_dc.kmeans.sparse_rows import SparseRows

Array = Any
"""A tensor, a scipy sparse matrix, or anything that NumPy converts to a matrix, such as a data frame."""

Rows = Tensor | SparseRows
"""Samples, (N, D): a matrix, or rows of a sparse matrix that become dense when they are indexed."""


def to_rows(x: Array) -> Rows:
    """Return samples, (N, D), as float32 or float64.

    Raises:
        InputError: ``x`` is not a matrix of numbers.
        TypeError: an object in ``x`` is not a number.
    """
    if hasattr(x, "tocsr"):
        return SparseRows(x.tocsr())
    if isinstance(x, Tensor):
        return as_float(x if x.layout == torch.strided else x.to_dense())
    return as_float(from_numpy(x, "x"))


def to_weights(sample_weight: Array | None, rows: Rows) -> Tensor | None:
    """Return the weights of samples, (N,), float64.

    Raises:
        InputError: the weights do not fit the samples.
    """
    if sample_weight is None:
        return None
    given = sample_weight if isinstance(sample_weight, Tensor) else from_numpy(sample_weight, "sample_weight")
    return as_weights(given, len(rows), rows.device)


def to_dense(rows: Rows) -> Tensor:
    """Return samples as one matrix, (N, D).

    Raises:
        InputError: a sparse matrix would be larger than the memory of this machine.
    """
    if isinstance(rows, Tensor):
        return rows
    size, available = len(rows) * rows.shape[1] * rows.dtype.itemsize, _memory()
    if size > available:
        raise InputError(
            f"x has the shape {rows.shape}, which takes {size / 2**30:.0f} GiB as a dense matrix, but there are "
            f"{available / 2**30:.0f}; use MiniBatchKMeans, which reads batches, or TruncatedSVD of scikit-learn first"
        )
    return rows[:]


def magnitude(rows: Rows) -> float:
    """Return the largest absolute value of samples.

    Raises:
        InputError: values are not finite.
    """
    largest = largest_magnitude(rows) if isinstance(rows, Tensor) else rows.largest_magnitude()
    if not math.isfinite(largest):
        raise not_finite_error()
    return largest


def mean_variance(rows: Rows) -> float:
    """Return the mean variance of the features of samples, (N, D)."""
    return float(rows.var(0, correction=0).mean()) if isinstance(rows, Tensor) else rows.mean_variance()


def as_init(init: Array) -> Any:
    """Return the name of a seeding unchanged, and centroids as a tensor."""
    return init if isinstance(init, str | Tensor) else from_numpy(init, "init")


def as_kind_of(result: Tensor, x: Array) -> Any:
    """Return a result as a tensor if ``x`` is one, else as a NumPy array."""
    return result if isinstance(x, Tensor) else result.cpu().numpy()


def from_numpy(x: Array, name: str) -> Tensor:
    """Return whatever NumPy converts to an array of numbers as a tensor.

    Raises:
        InputError: it holds text or other things that are not numbers.
        TypeError: an object is not a number.
    """
    array = np.asarray(x)
    if array.dtype.kind == "O":
        array = _from_objects(array, name)
    if array.dtype.kind not in "fiubc":
        raise InputError(f"{name} of k-means holds {array.dtype}; give numbers")
    if (array.dtype.kind == "f" and array.dtype.itemsize > 8) or array.dtype.byteorder == ">":
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    writeable = array.flags.writeable and all(stride > 0 for stride in array.strides)
    return torch.from_numpy(array if writeable else array.copy())


def _from_objects(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    try:
        return array.astype(np.float64)
    except ValueError as error:
        raise InputError(f"{name} of k-means holds objects that are not numbers ({error}); give numbers") from error


def _memory() -> float:
    """Return the memory of this machine in bytes; infinite where the system does not say it."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return float("inf")
