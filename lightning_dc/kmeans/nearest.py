"""Search for the nearest centroid of each row.

Rows are compared by scores |c|^2 - 2 x.c, which are squared distances minus |x|^2, from one matrix product in the
precision of the data. The rounding error of the product is bounded (Higham, Accuracy and Stability of Numerical
Algorithms, section 3.1, for any order of summation). Where the distances of the nearest and the second nearest centroid
differ by less than twice the bound, the row is compared again in float64 and from differences. So the labels are those
of exact distances, up to the rounding of float64, and do not depend on the grouping of rows or on the number of threads
or processes. On a tie, the centroid with the lower number wins.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dc.kmeans import native
from lightning_dc.kmeans.blocks import rows_at_a_time

_FEW_CLUSTERS = 32  # with fewer, scores have the shape (K, rows): reductions over few contiguous elements are slow
_GROUP = 32  # contiguous elements from which on reductions are fast; size of the groups of many clusters
_CHUNK_ELEMENTS = 1 << 20  # scores held at a time on a CPU, so that they fit into the cache
_ROWS_FIRST_FROM = 64  # features from which on a product with rows first is faster, even with a transposition after it
_ONES_COLUMN_UP_TO = 32  # features up to which adding |c|^2 takes long compared to the product
_LARGEST_SQUARED_NORM = 2.0**96  # of centroids; the compiled loop would mistake larger ones for padding
_PAIR_ELEMENTS = 1 << 18  # float64 elements held at a time on a CPU
_RESULT_ELEMENTS = 1 << 22  # elements of results held until the labels are known, on a CPU


class _TwoSmallest(NamedTuple):
    """Number of the nearest centroid, with the smallest and the second smallest score."""

    labels: Tensor  # int64
    best: Tensor  # smallest score
    second: Tensor  # smallest score of another centroid


def assign_(x: Tensor, norms: Tensor, centroids: Tensor, labels: Tensor) -> None:
    """Find the nearest centroid of each row in each restart.

    Args:
        x: rows, (n, D), float32 or float64.
        norms: Euclidean norms of the rows, (n,).
        centroids: centroids of each restart, (R, K, D), float64.
        labels: numbers of the nearest centroids, (R, n), int32, contiguous; written to. The search may begin at the
            centroids that it contains, K for none: this saves time and does not change the result.
    """
    if centroids.shape[1] == 1:
        labels.zero_()
        return
    if native.is_native(x):
        squares = centroids.square().sum(2)
        if float(squares.amax()) < _LARGEST_SQUARED_NORM:
            native.assign_(x, norms, centroids, squares, _relative_error_bound(x), labels)
            return
    unclear = _assign_by_torch(x, norms, centroids, labels)
    for r in unclear.any(1).nonzero()[:, 0].tolist():
        rows = unclear[r].nonzero()[:, 0]
        labels[r, rows] = _resolve_open_rows(x[rows], norms[rows], centroids[r]).to(labels.dtype)


def own_distances(x: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """Return squared distances of rows, (n, D), to their centroids, from differences in float64.

    Args:
        x: rows, (n, D).
        centroids: centroids, (K, D).
        labels: number of the centroid of each row, (n,).

    Returns:
        Squared distances, (n,), float64.
    """
    if native.is_native(x):
        return native.own_distances(x, centroids, labels)
    n_rows = rows_at_a_time(x.device, x.shape[1], _PAIR_ELEMENTS)
    distances = torch.empty(len(x), dtype=torch.float64, device=x.device)
    for start in range(0, len(x), n_rows):
        part = slice(start, start + n_rows)
        distances[part] = (x[part] - centroids.index_select(0, labels[part])).square_().sum(1)
    return distances


def _assign_by_torch(x: Tensor, norms: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """Write the nearest centroids by products, and return where their rounding leaves them open, (R, n), bool."""
    n_restarts, n_clusters, _ = centroids.shape
    unclear = torch.empty(labels.shape, dtype=torch.bool, device=x.device)
    n_rows = rows_at_a_time(x.device, n_restarts * max(1, n_clusters // _GROUP), _RESULT_ELEMENTS)
    for start in range(0, len(x), n_rows):
        part = slice(start, start + n_rows)
        rows = x[part]
        shape = (n_restarts, len(rows))
        two = _TwoSmallest(
            torch.empty(shape, dtype=torch.int64, device=x.device), x.new_empty(shape), x.new_empty(shape)
        )
        if n_clusters < _FEW_CLUSTERS:
            _search_few_clusters(rows, centroids, two)
        else:
            for r in range(n_restarts):
                _search_many_clusters(rows, centroids[r], _TwoSmallest(*(tensor[r] for tensor in two)))
        labels[:, part] = two.labels
        unclear[:, part] = two.second - two.best <= 2 * _error_bound(rows, norms[part], centroids, None)
    return unclear


def _relative_error_bound(x: Tensor) -> float:
    """Return the bound of the rounding error of a squared distance, relative to (|x| + |c|)^2.

    A sum has D + 1 terms; the rest of the factor covers the rounding of centroids, norms and the bound itself.
    """
    return 1.05 * (x.shape[1] + 12) * torch.finfo(x.dtype).eps / 2


def _error_bound(x: Tensor, norms: Tensor, centroids: Tensor, best: Tensor | None) -> Tensor:
    """Return the bound of the rounding error of a squared distance, (R, n).

    If the smallest score ``best``, (R, n), is given, the bound is sharper: a centroid at the distance d or less has a
    norm of at most |x| + d, so that centroids far away do not matter.
    """
    unit, factor = torch.finfo(x.dtype).eps / 2, _relative_error_bound(x)
    longest = (centroids.square().sum(2).amax(1, keepdim=True).sqrt_() * (1 + 4 * unit)).to(x.dtype)
    if best is not None:
        squares = norms.square()
        own = (best + squares).clamp_min_(0.0)
        longest = torch.minimum(longest, norms + (own + 16 * factor * squares).sqrt_().mul_(1.0 + 4 * factor))
    return (norms + longest).square_().mul_(factor)


def _resolve_open_rows(x: Tensor, norms: Tensor, centroids: Tensor) -> Tensor:
    """Return the labels of rows, (n, D), among centroids, (K, D), in float64, from differences where still open."""
    x, norms = x.double(), norms.double()
    transposed, squares = _product_form(centroids, torch.float64)
    labels = []
    n_rows = rows_at_a_time(x.device, len(centroids) + x.shape[1], _PAIR_ELEMENTS)
    for rows, own_norms in zip(torch.split(x, n_rows), torch.split(norms, n_rows), strict=True):
        scores = torch.addmm(squares, rows, transposed)
        best, label = scores.min(1)
        error = _error_bound(rows, own_norms, centroids.unsqueeze(0), best.unsqueeze(0))[0]
        close = scores <= (best + 2 * error).unsqueeze(1)
        several = (close.sum(1) > 1).nonzero()[:, 0]
        row, k = close[several].nonzero(as_tuple=True)
        distance = own_distances(rows[several[row]], centroids, k)
        smallest = distance.new_full((len(several),), torch.inf).scatter_reduce_(0, row, distance, "amin")
        k = torch.where(distance == smallest[row], k, len(centroids))
        label[several] = k.new_full((len(several),), len(centroids)).scatter_reduce_(0, row, k, "amin")
        labels.append(label)
    return torch.cat(labels)


def _product_form(centroids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return centroids, (K, D), as -2 c transposed, (D, K), and |c|^2, (K,), for a product with rows."""
    return (-2.0 * centroids).to(dtype).T.contiguous(), centroids.square().sum(1).to(dtype)


def _chunk_rows(x: Tensor, columns: int) -> int:
    return rows_at_a_time(x.device, columns, _CHUNK_ELEMENTS)


def _search_few_clusters(x: Tensor, centroids: Tensor, two: _TwoSmallest) -> None:
    """Search few clusters, with all restarts in one product that has scores of the shape (R, K, rows)."""
    n_restarts, n_clusters, n_features = centroids.shape
    transposed, squares = _product_form(centroids.flatten(0, 1), x.dtype)
    lengthened = squares.unsqueeze(1)
    padded = torch.nn.functional.pad(transposed, (0, -len(squares) % 16))  # a quarter faster for 10 clusters
    n_rows = min(len(x), _chunk_rows(x, n_restarts * n_clusters))
    if x.device.type == "cpu":
        n_rows = min(n_rows, 4096 if n_features >= _ROWS_FIRST_FROM else 16384)
    mask = x.new_empty(n_restarts * n_clusters * n_rows)
    for start in range(0, len(x), max(1, n_rows)):
        rows = x[start : start + n_rows]
        if n_features >= _ROWS_FIRST_FROM:
            scores = (rows @ padded)[:, : len(squares)].T.contiguous().add_(lengthened)
        else:
            scores = torch.addmm(lengthened, transposed.T, rows.T)
        part = _TwoSmallest(*(tensor[:, start : start + n_rows] for tensor in two))
        _two_smallest_scores(scores.view(n_restarts, n_clusters, len(rows)), mask, part)


def _two_smallest_scores(scores: Tensor, mask: Tensor, two: _TwoSmallest) -> None:
    """Find the two smallest of scores, (R, K, rows); scores and mask are overwritten, and ties are settled later."""
    n_clusters = scores.shape[1]
    numbers = torch.arange(n_clusters, device=scores.device, dtype=scores.dtype)
    best = scores.amin(1)
    mask = torch.le(scores, best.unsqueeze(1), out=mask[: scores.numel()].view_as(scores))
    # Count how often the smallest score occurs, and find where: a product is faster than a search.
    found = torch.matmul(torch.stack([torch.ones_like(numbers), numbers]), mask)
    second = scores.add_(mask, alpha=_padding_score(scores)).amin(1)
    two.labels.copy_(found[:, 1].clamp_max_(n_clusters - 1))
    two.best.copy_(best)
    torch.where(found[:, 0] > 1.5, best, second, out=two.second)


def _search_many_clusters(x: Tensor, centroids: Tensor, two: _TwoSmallest) -> None:
    """Search many clusters of one restart: the minimum of each group first, then within the group of the smallest."""
    n_rows = min(len(x), 2 * _chunk_rows(x, len(centroids)))  # twice as many, since there is only one array
    if n_rows == 0:
        return
    n_groups = max(1, len(centroids) // _GROUP)
    size = -(-len(centroids) // n_groups)
    padding = n_groups * size - len(centroids)
    transposed, squares = _product_form(centroids, x.dtype)
    transposed = torch.nn.functional.pad(transposed, (0, padding))
    squares = torch.nn.functional.pad(squares, (0, padding), value=_padding_score(x))
    narrow = x.shape[1] <= _ONES_COLUMN_UP_TO
    if narrow:  # the product adds the squared norms itself, by a column of ones
        transposed = torch.cat([transposed, squares.unsqueeze(0)])
        x = torch.cat([x, x.new_ones(len(x), 1)], 1)
    groups = x.new_empty(len(x), n_groups)
    inside = x.new_empty(len(x), size)
    winners = torch.empty(len(x), dtype=torch.int64, device=x.device)
    first = torch.arange(n_rows, device=x.device) * n_groups
    buffer = x.new_empty(n_rows, n_groups * size)
    for start in range(0, len(x), n_rows):
        part = slice(start, min(start + n_rows, len(x)))
        length = part.stop - start
        scores = buffer[:length]
        if narrow:
            torch.mm(x[part], transposed, out=scores)
        else:
            torch.addmm(squares, x[part], transposed, out=scores)
        torch.amin(scores.view(length, n_groups, size), 2, out=groups[part])
        torch.argmin(groups[part], 1, out=winners[part])
        torch.index_select(scores.view(-1, size), 0, first[:length] + winners[part], out=inside[part])
    best, place = inside.min(1)
    two.best.copy_(best)
    torch.add(place, winners, alpha=size, out=two.labels)
    others = groups.scatter_(1, winners.unsqueeze(1), _padding_score(x)).amin(1)
    torch.minimum(inside.scatter_(1, place.unsqueeze(1), _padding_score(x)).amin(1), others, out=two.second)


def _padding_score(x: Tensor) -> float:
    """Return a score that is larger than all others, and to which they can still be added."""
    return 2.0**100 if x.dtype == torch.float32 else 2.0**900
