"""The nearest centroid of each row, and how far the next one is at least.

Distances come from one matrix product, |c|^2 - 2 x.c, in the precision of the data. Its rounding error is bounded
(Higham, Accuracy and Stability of Numerical Algorithms, section 3.1, for any order of summation): where the nearest and
the second nearest centroid lie closer together than twice the bound, the row is looked at again, in float64 and from
differences. So the labels are those of exact distances, up to the rounding of float64, and depend neither on how rows
are grouped nor on the number of threads or processes. Ties go to the lower number.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_FEW_CLUSTERS = 32  # below, scores are laid out (K, rows), as reductions over few contiguous elements are slow
GROUP = 32  # from which on they are fast; results of many clusters have a column a group
_CHUNK_ELEMENTS = {"cpu": 1 << 20}  # scores held at a time: what fits into the cache
_CHUNK_ELEMENTS_ELSEWHERE = 1 << 26
_WIDE = 64  # features from which on the product is faster with rows first, transposition included
_NARROW = 32  # features up to which adding |c|^2 takes long beside the product
_PAIR_ELEMENTS = 1 << 18  # elements in float64 held at a time


class Nearest(NamedTuple):
    """Nearest centroids of rows, each of which belongs to a restart.

    Attributes:
        labels: number of the nearest centroid, int64.
        gap: what the second nearest centroid is farther away than the nearest, at least.
    """

    labels: Tensor
    gap: Tensor


class _Two(NamedTuple):
    labels: Tensor  # int64
    best: Tensor  # smallest score
    second: Tensor  # smallest score of another centroid


def nearest_of_all(x: Tensor, norms: Tensor, centroids: Tensor) -> Nearest:
    """Nearest of the centroids of each restart for each row; the results are (R, n).

    Args:
        x: rows, (n, D), float32 or float64.
        norms: their Euclidean norms, (n,).
        centroids: (R, K, D), float64.
    """
    n_restarts, n_clusters, _ = centroids.shape
    two = _empty((n_restarts, len(x)), x)
    if n_clusters == 1:
        return Nearest(two.labels.zero_(), two.best.fill_(torch.inf))
    if n_clusters < _FEW_CLUSTERS:
        _few(x, centroids, two)
    else:
        for r in range(n_restarts):
            _many(x, centroids[r], _Two(*(tensor[r] for tensor in two)))
    error = _error(x, norms, centroids, None)
    unclear = (two.second - two.best <= 2 * error).nonzero()
    for r in sorted(set(unclear[:, 0].tolist())):
        rows = unclear[unclear[:, 0] == r, 1]
        two.labels[r, rows] = _resolve(x[rows], norms[rows], centroids[r])
    return _gap(two, norms, error)


def nearest_of_each(x: Tensor, norms: Tensor, centroids: Tensor, counts: list[int]) -> Nearest:
    """Nearest of the centroids of its own restart for each row; the results are (n,).

    Args:
        x: rows, those of each restart together, (n, D), float32 or float64.
        norms: their Euclidean norms, (n,).
        centroids: (R, K, D), float64.
        counts: how many rows belong to each restart.
    """
    n_clusters = centroids.shape[1]
    two = _empty((len(x),), x)
    if n_clusters == 1:
        return Nearest(two.labels.zero_(), two.best.fill_(torch.inf))
    if n_clusters < _FEW_CLUSTERS:
        _few_of_each(x, centroids, counts, two)
    parts = _parts(counts)
    error = torch.empty_like(norms)
    for r, part in enumerate(parts):
        if n_clusters >= _FEW_CLUSTERS:
            _many(x[part], centroids[r], _Two(*(tensor[part] for tensor in two)))
        error[part] = _error(x, norms[part], centroids[r : r + 1], None)[0]
    unclear = (two.second - two.best <= 2 * error).nonzero()[:, 0]
    bounds = torch.searchsorted(unclear, torch.tensor([part.stop for part in parts], device=x.device)).tolist()
    for r, (start, stop) in enumerate(zip([0, *bounds], bounds, strict=False)):
        if stop > start:
            rows = unclear[start:stop]
            two.labels[rows] = _resolve(x[rows], norms[rows], centroids[r])
    return _gap(two, norms, error)


def own_distances(x: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """Squared distances of rows, (n, D), to the centroids (K, D) of their labels, (n,), float64, from differences."""
    n_rows = max(1, _PAIR_ELEMENTS // max(1, x.shape[1]))
    distances = torch.empty(len(x), dtype=torch.float64, device=x.device)
    for start in range(0, len(x), n_rows):
        part = slice(start, start + n_rows)
        distances[part] = (x[part] - centroids.index_select(0, labels[part])).square_().sum(1)
    return distances


def _empty(shape: tuple[int, ...], x: Tensor) -> _Two:
    return _Two(torch.empty(shape, dtype=torch.int64, device=x.device), x.new_empty(shape), x.new_empty(shape))


def _parts(counts: list[int]) -> list[slice]:
    stops = torch.tensor(counts).cumsum(0).tolist()
    return [slice(stop - count, stop) for stop, count in zip(stops, counts, strict=True)]


def _gap(two: _Two, norms: Tensor, error: Tensor) -> Nearest:
    """Both distances are off by no more than the error, and their roots by one unit in the last place."""
    squares = norms.square()
    upper = two.best.add_(squares).clamp_min_(0.0).add_(error).sqrt_()
    lower = two.second.add_(squares).sub_(error).clamp_min_(0.0).sqrt_()
    return Nearest(two.labels, lower.sub_(upper, alpha=1.0 + 8 * torch.finfo(norms.dtype).eps))


def _error(x: Tensor, norms: Tensor, centroids: Tensor, best: Tensor | None) -> Tensor:
    """Bound of the rounding error of a squared distance, (R, n).

    D + 1 terms are summed; the rest of the factor covers the rounding of centroids, norms and of the bound itself.
    With the smallest score, (R, n), a sharper bound: a centroid nearer than the one found is no longer than |x| + d, so
    a centroid far outside does not matter.
    """
    unit = torch.finfo(x.dtype).eps / 2
    factor = 1.05 * (x.shape[1] + 12) * unit
    longest = (centroids.square().sum(2).amax(1, keepdim=True).sqrt_() * (1 + 4 * unit)).to(x.dtype)
    if best is not None:
        squares = norms.square()
        own = (best + squares).clamp_min_(0.0)
        longest = torch.minimum(longest, norms + (own + 16 * factor * squares).sqrt_().mul_(1.0 + 4 * factor))
    return (norms + longest).square_().mul_(factor)


def _resolve(x: Tensor, norms: Tensor, centroids: Tensor) -> Tensor:
    """Labels of rows, (n, D), among the centroids (K, D), in float64; what is still open, from differences."""
    x, norms = x.double(), norms.double()
    transposed, squares = _product_form(centroids, torch.float64)
    labels = []
    n_rows = max(1, _PAIR_ELEMENTS // (len(centroids) + x.shape[1]))
    for rows, own_norms in zip(torch.split(x, n_rows), torch.split(norms, n_rows), strict=True):
        scores = torch.addmm(squares, rows, transposed)
        best, label = scores.min(1)
        error = _error(rows, own_norms, centroids.unsqueeze(0), best.unsqueeze(0))[0]
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
    """Centroids (K, D), as -2 c transposed, (D, K), and |c|^2, (K,), for a product with rows."""
    return (-2.0 * centroids).to(dtype).T.contiguous(), centroids.square().sum(1).to(dtype)


def _chunk_rows(x: Tensor, columns: int) -> int:
    return max(1, _CHUNK_ELEMENTS.get(x.device.type, _CHUNK_ELEMENTS_ELSEWHERE) // columns)


def _few(x: Tensor, centroids: Tensor, two: _Two) -> None:
    """Few clusters, all restarts in one product: scores (R, K, rows)."""
    n_restarts, n_clusters, n_features = centroids.shape
    transposed, squares = _product_form(centroids.flatten(0, 1), x.dtype)
    lengthened = squares.unsqueeze(1)
    padded = torch.nn.functional.pad(transposed, (0, -len(squares) % 16))  # a quarter faster for 10 clusters
    n_rows = min(len(x), 4096 if n_features >= _WIDE else 16384, _chunk_rows(x, n_restarts * n_clusters))
    mask = x.new_empty(n_restarts * n_clusters * n_rows)
    for start in range(0, len(x), max(1, n_rows)):
        rows = x[start : start + n_rows]
        if n_features >= _WIDE:
            scores = (rows @ padded)[:, : len(squares)].T.contiguous().add_(lengthened)
        else:
            scores = torch.addmm(lengthened, transposed.T, rows.T)
        part = _Two(*(tensor[:, start : start + n_rows] for tensor in two))
        _reduce(scores.view(n_restarts, n_clusters, len(rows)), mask, part)


def _few_of_each(x: Tensor, centroids: Tensor, counts: list[int], two: _Two) -> None:
    """Few clusters, a product for the rows of each restart: scores (K, rows)."""
    n_rows = min(max(1, max(counts)), _chunk_rows(x, centroids.shape[1]))
    mask = x.new_empty(centroids.shape[1] * n_rows)
    for restart, part in zip(centroids, _parts(counts), strict=True):
        transposed, squares = _product_form(restart, x.dtype)
        for start in range(part.start, part.stop, n_rows):
            some = slice(start, min(start + n_rows, part.stop))
            if x.shape[1] >= _WIDE:
                scores = torch.addmm(squares, x[some], transposed).T.contiguous()
            else:
                scores = torch.addmm(squares.unsqueeze(1), transposed.T, x[some].T)
            _reduce(scores.unsqueeze(0), mask, _Two(*(tensor[some].unsqueeze(0) for tensor in two)))


def _reduce(scores: Tensor, mask: Tensor, two: _Two) -> None:
    """Two smallest of scores (R, K, rows); these and the memory of a mask are overwritten. Ties are settled later."""
    n_clusters = scores.shape[1]
    numbers = torch.arange(n_clusters, device=scores.device, dtype=scores.dtype)
    best = scores.amin(1)
    mask = torch.le(scores, best.unsqueeze(1), out=mask[: scores.numel()].view_as(scores))
    # How often the smallest score occurs, and where: a product is faster than a search.
    found = torch.matmul(torch.stack([torch.ones_like(numbers), numbers]), mask)
    second = scores.add_(mask, alpha=_far(scores)).amin(1)
    two.labels.copy_(found[:, 1].clamp_max_(n_clusters - 1))
    two.best.copy_(best)
    torch.where(found[:, 0] > 1.5, best, second, out=two.second)


def _many(x: Tensor, centroids: Tensor, two: _Two) -> None:
    """Many clusters of one restart: minima of groups first, then within the group that has the smallest."""
    n_rows = min(len(x), 2 * _chunk_rows(x, len(centroids)))  # one array only
    if n_rows == 0:
        return
    n_groups = max(1, len(centroids) // GROUP)
    size = -(-len(centroids) // n_groups)
    padding = n_groups * size - len(centroids)
    transposed, squares = _product_form(centroids, x.dtype)
    transposed = torch.nn.functional.pad(transposed, (0, padding))
    squares = torch.nn.functional.pad(squares, (0, padding), value=_far(x))
    narrow = x.shape[1] <= _NARROW
    if narrow:  # the squared norms ride along in the product, beside a column of ones
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
    others = groups.scatter_(1, winners.unsqueeze(1), _far(x)).amin(1)
    torch.minimum(inside.scatter_(1, place.unsqueeze(1), _far(x)).amin(1), others, out=two.second)


def _far(x: Tensor) -> float:
    """A score above all others that still can be added to them."""
    return 2.0**100 if x.dtype == torch.float32 else 2.0**900
