"""The compiled inner loops of k-means, where they have been built: float32 on a CPU.

They are built with the package if there is a C++ compiler (GCC 12 or Clang); without one, PyTorch does the same work.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

_ROWS_TOGETHER = 8192  # rows that a thread takes at a time
_LITTLE = 1 << 18  # multiplications that are over before a thread has begun

_Pointer, _Integer = ctypes.c_void_p, ctypes.c_int64
_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


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
            library = ctypes.CDLL(str(path))
            library.kmeans_assign.argtypes = [ctypes.POINTER(_Assignment), _Integer, _Integer]
            library.kmeans_move.argtypes = [_Pointer] * 4 + [_Integer] * 5 + [_Pointer]
            library.kmeans_move.restype = _Integer
            library.kmeans_distances.argtypes = [_Pointer] * 3 + [_Integer] * 3 + [_Pointer]
            library.kmeans_distances.restype = None
            return library
    return None


library = _load()
"""The compiled functions; None if they have not been built."""


def is_native(x: Tensor) -> bool:
    """Whether samples, (n, D), are such that the compiled functions take them."""
    return library is not None and x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous()


def assign_(x: Tensor, norms: Tensor, centroids: Tensor, factor: float, labels: Tensor) -> None:
    """Nearest centroids by a float32 product, and by differences in float64 where its rounding leaves them open.

    Args:
        x: rows, (n, D), as :func:`is_native` wants them.
        norms: their Euclidean norms, (n,), float32.
        centroids: of each restart, (R, K, D), float64.
        factor: bound of the error of a squared distance, relative to (|x| + |c|)^2.
        labels: nearest centroids, (R, n), int32, contiguous; written to. What is in it is where the search begins, K for
            nowhere: it saves time, and changes nothing.
    """
    n_restarts, n_clusters, n_features = centroids.shape
    centroids = centroids.contiguous()
    squares = centroids.square().sum(2)
    longest = (squares.amax(1).sqrt() * (1 + 2 * torch.finfo(torch.float32).eps)).float()
    arrays = (x, norms, centroids, (-2.0 * centroids).float(), squares.float(), longest)
    sizes = (len(x), n_features, n_restarts, n_clusters)
    problem = ctypes.byref(_Assignment(*map(_pointer, arrays), factor, *sizes, _pointer(labels)))
    assert library is not None
    assign = library.kmeans_assign
    if any(_by_rows(len(x), n_restarts * n_clusters * n_features, lambda begin, end: assign(problem, begin, end))):
        raise MemoryError(f"k-means has no memory for the centroids of {n_restarts} restarts in each thread")


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
    move = library.kmeans_move
    n_clusters, n_columns = totals.shape[1] - 1, totals.shape[2]
    n_threads = torch.get_num_threads()
    # Threads share the columns of a sum, so that its rows always come in their order.
    width = max(1, -(-n_columns * len(before) // n_threads))
    parts = [(r, f, min(f + width, n_columns)) for r in range(len(before)) for f in range(0, n_columns, width)]
    weight = None if weights is None else _pointer(weights)

    def run(part: tuple[int, int, int]) -> int:
        r, begin, end = part
        labels = _pointer(before[r]), _pointer(after[r])
        return move(_pointer(x), weight, *labels, *x.shape, n_clusters, begin, end, _pointer(totals[r]))  # type: ignore[no-any-return]

    moved = dict(zip((r for r, _, _ in parts), _run(run, parts), strict=True))
    return torch.tensor([moved[r] for r in range(len(before))])


def own_distances(x: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """Squared distances of rows, (n, D), to the centroids (K, D) of their labels, (n,), float64, from differences."""
    assert library is not None
    distances = library.kmeans_distances
    centroids, labels = centroids.double().contiguous(), labels.to(torch.int32).contiguous()
    out = torch.empty(len(x), dtype=torch.float64)
    arrays, n_features = [_pointer(tensor) for tensor in (x, centroids, labels)], x.shape[1]
    _by_rows(len(x), n_features, lambda begin, end: distances(*arrays, n_features, begin, end, _pointer(out)))
    return out


def _pointer(tensor: Tensor) -> int:
    return tensor.data_ptr()


def _by_rows(n_rows: int, work: int, run: Callable[[int, int], int | None]) -> list[int | None]:
    """Run a function on ranges of rows, with ``work`` multiplications for each row."""
    step = n_rows if n_rows * work < _LITTLE else _ROWS_TOGETHER
    parts = [(begin, min(begin + step, n_rows)) for begin in range(0, n_rows, max(1, step))]
    return list(_run(lambda part: run(*part), parts))


def _run(run: Callable[[_Part], _Result], parts: list[_Part]) -> Iterator[_Result]:
    """Run a function on all parts, by as many threads as PyTorch has; ctypes leaves the interpreter to others."""
    n_threads = min(torch.get_num_threads(), len(parts))
    if n_threads <= 1:
        yield from map(run, parts)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        yield from pool.map(run, parts)
