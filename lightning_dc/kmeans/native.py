"""The compiled inner loops of k-means, where they have been built: float32 on a CPU.

They are built with the package if there is a C++ compiler (GCC 12 or Clang); without one, PyTorch does the same work.
"""

from __future__ import annotations

import ctypes
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch
from torch import Tensor

_LITTLE = 1 << 17  # elements that are worked on before a thread has begun

_Pointer, _Integer = ctypes.c_void_p, ctypes.c_int64


class _Assignment(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("x", "norms", "centroids", "scaled", "squares", "longest")),
        ("factor", ctypes.c_float),
        *((name, _Integer) for name in ("n", "d", "r", "k")),
        ("labels", _Pointer),
    )


def _load() -> ctypes.CDLL | None:
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_lloyd{suffix}")
        if path.is_file():
            try:
                library = ctypes.CDLL(str(path))
                library.kmeans_layout.restype = _Integer
                if library.kmeans_layout() != ctypes.sizeof(_Assignment):
                    return None  # built from other sources
            except (OSError, AttributeError):  # of another machine
                return None
            library.kmeans_assign.argtypes = [ctypes.POINTER(_Assignment), ctypes.c_int]
            library.kmeans_assign.restype = ctypes.c_bool
            library.kmeans_move.argtypes = [_Pointer] * 4 + [_Integer] * 4 + [_Pointer] * 2 + [ctypes.c_int]
            library.kmeans_move.restype = None
            library.kmeans_distances.argtypes = [_Pointer] * 3 + [_Integer] * 2 + [_Pointer, ctypes.c_int]
            library.kmeans_distances.restype = None
            return library
    return None


library = _load()
"""The compiled functions; None if they have not been built."""


def is_native(x: Tensor) -> bool:
    """Whether samples, (n, D), are such that the compiled functions take them."""
    return library is not None and x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous()


def assign_(x: Tensor, norms: Tensor, centroids: Tensor, squares: Tensor, factor: float, labels: Tensor) -> None:
    """Nearest centroids by a float32 product, and by differences in float64 where its rounding leaves them open.

    Args:
        x: rows, (n, D), as :func:`is_native` wants them.
        norms: their Euclidean norms, (n,), float32.
        centroids: of each restart, (R, K, D), float64.
        squares: their squared norms, (R, K), float64.
        factor: bound of the error of a squared distance, relative to (|x| + |c|)^2.
        labels: nearest centroids, (R, n), int32, contiguous; written to. What is in it is where the search begins, K
            for nowhere: it saves time, and changes nothing.
    """
    n_restarts, n_clusters, n_features = centroids.shape
    centroids = centroids.contiguous()
    longest = (squares.amax(1).sqrt() * (1 + 2 * torch.finfo(torch.float32).eps)).float()
    arrays = (x, norms, centroids, (-2.0 * centroids).float(), squares.float(), longest)
    sizes = (len(x), n_features, n_restarts, n_clusters)
    problem = _Assignment(*map(_pointer, arrays), factor, *sizes, _pointer(labels))
    assert library is not None
    if not library.kmeans_assign(ctypes.byref(problem), _n_threads(len(x) * n_restarts * n_clusters * n_features)):
        raise MemoryError(f"k-means has no memory for a copy of the centroids of {n_restarts} restarts")


def move_(x: Tensor, weights: Tensor | None, before: Tensor, after: Tensor, totals: Tensor) -> Tensor:
    """Take rows out of the sums of the clusters before and into those after.

    Args:
        x: rows, (n, D), as :func:`is_native` wants them.
        weights: of the rows, (n,), float64; None is 1 for each.
        before: clusters, (R, n), int32, contiguous.
        after: the same.
        totals: sums, and weights in the last column, (R, K + 1, D + 1), float64, contiguous; written to.

    Returns:
        How many rows have moved, (R,), int64.
    """
    assert library is not None
    n_moved = torch.empty(len(before), dtype=torch.int64)
    sizes = (*x.shape, len(before), totals.shape[1] - 1)
    pointers = (_pointer(x), None if weights is None else _pointer(weights), _pointer(before), _pointer(after))
    library.kmeans_move(*pointers, *sizes, _pointer(totals), _pointer(n_moved), _n_threads(before.numel()))
    return n_moved


def own_distances(x: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """Squared distances of rows, (n, D), to the centroids (K, D) of their labels, (n,), float64, from differences."""
    assert library is not None
    centroids, labels = centroids.double().contiguous(), labels.to(torch.int32).contiguous()
    out = torch.empty(len(x), dtype=torch.float64)
    pointers = (_pointer(x), _pointer(centroids), _pointer(labels))
    library.kmeans_distances(*pointers, *x.shape, _pointer(out), _n_threads(x.numel()))
    return out


def _pointer(tensor: Tensor) -> int:
    return tensor.data_ptr()


def _n_threads(work: int) -> int:
    return 1 if work < _LITTLE else torch.get_num_threads()
