"""Compiled inner loops of k-means for float32 on a CPU.

They are built together with the package if there is a C++ compiler (GCC 12 or Clang). Without one, k-means uses PyTorch
instead.
"""

from __future__ import annotations

import ctypes
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch
from torch import Tensor

_ONE_THREAD_BELOW = 1 << 17  # elements; a thread takes longer to start than to process so few

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
                    return None  # built from other source files
            except (OSError, AttributeError):  # built for another machine
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
"""Library of the compiled functions; None if they have not been built."""


def is_native(x: Tensor) -> bool:
    """Return whether the compiled functions accept samples, (n, D)."""
    return library is not None and x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous()


def assign_(x: Tensor, norms: Tensor, centroids: Tensor, squares: Tensor, factor: float, labels: Tensor) -> None:
    """Find nearest centroids by a float32 product, and by float64 differences where its rounding leaves them open.

    Args:
        x: rows, (n, D), as required by :func:`is_native`.
        norms: Euclidean norms of the rows, (n,), float32.
        centroids: centroids of each restart, (R, K, D), float64.
        squares: squared norms of the centroids, (R, K), float64.
        factor: bound of the error of a squared distance, relative to (|x| + |c|)^2.
        labels: nearest centroids, (R, n), int32, contiguous; written to. The search begins at the centroids that it
            contains, K for none: this saves time and does not change the result.
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


def move_rows_(x: Tensor, weights: Tensor | None, before: Tensor, after: Tensor, totals: Tensor) -> Tensor:
    """Subtract rows from the sums of their previous clusters and add them to the sums of their new clusters.

    Args:
        x: rows, (n, D), as required by :func:`is_native`.
        weights: weights of the rows, (n,), float64; None gives every row the weight 1.
        before: previous clusters, (R, n), int32, contiguous; K stands for no cluster.
        after: new clusters, (R, n), int32, contiguous.
        totals: sums of the rows, with sums of the weights in the last column, (R, K + 1, D + 1), float64, contiguous;
            written to.

    Returns:
        Number of rows whose cluster has changed, (R,), int64.
    """
    assert library is not None
    n_moved = torch.empty(len(before), dtype=torch.int64)
    sizes = (*x.shape, len(before), totals.shape[1] - 1)
    pointers = (_pointer(x), None if weights is None else _pointer(weights), _pointer(before), _pointer(after))
    library.kmeans_move(*pointers, *sizes, _pointer(totals), _pointer(n_moved), _n_threads(before.numel()))
    return n_moved


def own_distances(x: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """Return squared distances of rows, (n, D), to their centroids, from differences in float64.

    Args:
        x: rows, (n, D), as required by :func:`is_native`.
        centroids: centroids, (K, D).
        labels: number of the centroid of each row, (n,).

    Returns:
        Squared distances, (n,), float64.
    """
    assert library is not None
    centroids, labels = centroids.double().contiguous(), labels.to(torch.int32).contiguous()
    out = torch.empty(len(x), dtype=torch.float64)
    pointers = (_pointer(x), _pointer(centroids), _pointer(labels))
    library.kmeans_distances(*pointers, *x.shape, _pointer(out), _n_threads(x.numel()))
    return out


def _pointer(tensor: Tensor) -> int:
    return tensor.data_ptr()


def _n_threads(work: int) -> int:
    return 1 if work < _ONE_THREAD_BELOW else torch.get_num_threads()
