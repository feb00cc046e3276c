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
_MANY_CLUSTERS = 256  # above, the minima of groups are taken first
_GROUP = 32
_CHUNK_ELEMENTS = {"cpu": 1 << 20}  # scores held at a time: what fits into the cache
_CHUNK_ELEMENTS_ELSEWHERE = 1 << 26
_WIDE = 64  # features from which on the product is faster with rows first, transposition included
_PAIR_ELEMENTS = 1 << 22  # elements of differences in float64 held at a time


class Nearest(NamedTuple):
    """Nearest centroids of rows in several restarts.

    Attributes:
        labels: number of the nearest centroid, (R, n), int64.
        gap: what the second nearest centroid is farther away than the nearest, at least, (R, n).
    """

    labels: Tensor
    gap: Tensor


class _Two(NamedTuple):
    labels: Tensor  # (R, n), int64
    best: Tensor  # smallest score, (R, n)
    second: Tensor  # smallest score of another centroid, (R, n)


def nearest(x: Tensor, norms: Tensor, centroids: Tensor) -> Nearest:
    """Nearest of the centroids of each restart.

    Args:
        x: rows, (n, D), float32 or float64.
        norms: their Euclidean norms, (n,).
        centroids: (R, K, D), float64.
    """
    n_restarts, n_clusters, _ = centroids.shape
    if n_clusters == 1:
        labels = torch.zeros(n_restarts, len(x), dtype=torch.int64, device=x.device)
        return Nearest(labels, x.new_full(labels.shape, torch.inf))
    two = _two_nearest(x, centroids)
    error, own = _error(x, norms, two.best, centroids)
    for r, rows in _unclear(two, error):
        two.labels[r, rows] = _resolve(x[rows], norms[rows], centroids[r])
    # Both distances are off by no more than the error, and the square root by one unit in the last place.
    upper = (own + error).sqrt_()
    lower = (two.second.add_(norms.square()).sub_(error)).clamp_min_(0.0).sqrt_()
    gap = lower.sub_(upper.mul_(1.0 + 8 * torch.finfo(x.dtype).eps))
    return Nearest(two.labels, gap)


def own_distances(x: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """Squared distances of rows, (n, D), to the centroids (K, D) of their labels, (n,), float64."""
    return (x.double() - centroids[labels]).square_().sum(1)


def _error(x: Tensor, norms: Tensor, best: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Bound of the rounding error of a squared distance that can matter, and the smallest squared distance, (R, n).

    A centroid that is nearer than the one found is no longer than |x| + d, so only errors of products with such
    centroids count, and one outlying centroid does not spoil the bound. One D + 1 terms are summed; the rest of the
    factor covers the rounding of centroids, norms and of the bound itself.
    """
    unit = torch.finfo(x.dtype).eps / 2
    factor = 1.05 * (x.shape[1] + 12) * unit
    squares = norms.square()
    own = (best + squares).clamp_min_(0.0)
    longest = norms + (own + (16 * factor) * squares).sqrt_().mul_(1.0 + 4 * factor)
    longest = torch.minimum(
        longest, centroids.square().sum(2).amax(1).sqrt_().to(x.dtype).unsqueeze(1) * (1 + 4 * unit)
    )
    return (norms + longest).square_().mul_(factor), own


def _unclear(two: _Two, error: Tensor) -> list[tuple[int, Tensor]]:
    """Rows of each restart whose label the rounding error leaves open."""
    unclear = two.second - two.best <= 2 * error
    counts = unclear.sum(1).tolist()
    return [(r, unclear[r].nonzero()[:, 0]) for r, count in enumerate(counts) if count > 0]


def _resolve(x: Tensor, norms: Tensor, centroids: Tensor) -> Tensor:
    """Labels of rows, (n, D), in float64 and from differences, among the centroids (K, D) that may be nearest."""
    labels = []
    n_rows = max(1, _PAIR_ELEMENTS // (len(centroids) * (1 + x.shape[1] // 8)))
    transposed, squares = _product_form(centroids, x.dtype)
    for rows, own_norms in zip(x.split(n_rows), norms.split(n_rows), strict=True):
        scores = torch.addmm(squares, rows, transposed)
        best = scores.amin(1)
        error, _ = _error(rows, own_norms, best.unsqueeze(0), centroids.unsqueeze(0))
        row, k = (scores <= (best + 2 * error[0]).unsqueeze(1)).nonzero(as_tuple=True)
        distances = torch.cat(
            [
                own_distances(rows[some_rows], centroids, some_k)
                for some_rows, some_k in zip(row.split(n_rows), k.split(n_rows), strict=True)
            ]
        )
        smallest = distances.new_full((len(rows),), torch.inf).scatter_reduce_(0, row, distances, "amin")
        k = torch.where(distances == smallest[row], k, len(centroids))
        labels.append(k.new_full((len(rows),), len(centroids)).scatter_reduce_(0, row, k, "amin"))
    return torch.cat(labels)


def _product_form(centroids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Centroids (K, D), as -2 c transposed, (D, K), and |c|^2, (K,), for a product with rows."""
    return (-2.0 * centroids).to(dtype).T.contiguous(), centroids.square().sum(1).to(dtype)


def _two_nearest(x: Tensor, centroids: Tensor) -> _Two:
    """Smallest and second smallest score of each row in each restart, chunk by chunk."""
    n_restarts, n_clusters, _ = centroids.shape
    shape = (n_restarts, len(x))
    two = _Two(torch.empty(shape, dtype=torch.int64, device=x.device), x.new_empty(shape), x.new_empty(shape))
    if n_clusters < _FEW_CLUSTERS:
        _few(x, centroids, two)
        return two
    for r in range(n_restarts):
        restart = _Two(*(tensor[r] for tensor in two))
        (_some if n_clusters <= _MANY_CLUSTERS else _many)(x, centroids[r], restart)
    return two


def _chunk_rows(x: Tensor, columns: int) -> int:
    return max(1, _CHUNK_ELEMENTS.get(x.device.type, _CHUNK_ELEMENTS_ELSEWHERE) // columns)


def _few(x: Tensor, centroids: Tensor, two: _Two) -> None:
    """Few clusters, all restarts in one product: scores (R, K, rows)."""
    n_restarts, n_clusters, n_features = centroids.shape
    flat = centroids.flatten(0, 1)
    transposed, squares = _product_form(flat, x.dtype)
    lengthened = squares.unsqueeze(1)
    read_off = _read_off(n_clusters, x)
    start = 0
    for rows in x.split(min(16384, _chunk_rows(x, len(flat)))):
        if n_features >= _WIDE:
            scores = (rows @ transposed).T.contiguous().add_(lengthened)
        else:
            scores = torch.addmm(lengthened, transposed.T, rows.T)
        scores = scores.view(n_restarts, n_clusters, len(rows))
        part = slice(start, start + len(rows))
        start = part.stop
        best = scores.amin(1)
        mask = torch.le(scores, best.unsqueeze(1), out=torch.empty_like(scores))
        found = torch.matmul(read_off, mask)
        second = scores.add_(mask, alpha=_far(x)).amin(1)
        _note(two, (slice(None), part), found[:, 0], found[:, 1], best, second)


def _some(x: Tensor, centroids: Tensor, two: _Two) -> None:
    """Scores (rows, K) of one restart."""
    transposed, squares = _product_form(centroids, x.dtype)
    read_off = _read_off(len(centroids), x).T.contiguous()
    start = 0
    for rows in x.split(_chunk_rows(x, len(centroids))):
        scores = torch.addmm(squares, rows, transposed)
        part = slice(start, start + len(rows))
        start = part.stop
        best = scores.amin(1)
        mask = torch.le(scores, best.unsqueeze(1), out=torch.empty_like(scores))
        found = mask @ read_off
        second = scores.add_(mask, alpha=_far(x)).amin(1)
        _note(two, (part,), found[:, 0], found[:, 1], best, second)


def _many(x: Tensor, centroids: Tensor, two: _Two) -> None:
    """Many clusters in one restart: minima of groups first, then within the group that has the smallest."""
    n_groups = -(-len(centroids) // _GROUP)
    transposed, squares = _product_form(centroids, x.dtype)
    padding = n_groups * _GROUP - len(centroids)
    transposed = torch.nn.functional.pad(transposed, (0, padding))
    squares = torch.nn.functional.pad(squares, (0, padding), value=torch.inf)
    # The squared norms ride along in the product, beside a column of ones: adding them takes longer than the product.
    weights = torch.cat([transposed, squares.nan_to_num(posinf=_far(x)).unsqueeze(0)])
    ones = x.new_ones(len(x), 1)
    longer = torch.cat([x, ones], 1)
    groups = x.new_empty(len(x), n_groups)
    inside = x.new_empty(len(x), _GROUP)
    winners = torch.empty(len(x), dtype=torch.int64, device=x.device)
    n_rows = min(len(x), _chunk_rows(x, n_groups * _GROUP))
    first = torch.arange(n_rows, device=x.device) * n_groups
    buffer = x.new_empty(n_rows, n_groups * _GROUP)
    for start in range(0, len(x), max(1, n_rows)):
        part = slice(start, min(start + n_rows, len(x)))
        length = part.stop - start
        scores = torch.mm(longer[part], weights, out=buffer[:length])
        torch.amin(scores.view(length, n_groups, _GROUP), 2, out=groups[part])
        torch.argmin(groups[part], 1, out=winners[part])
        torch.index_select(scores.view(-1, _GROUP), 0, first[:length] + winners[part], out=inside[part])
    best, place = inside.min(1)
    two.best.copy_(best)
    two.labels.copy_(winners * _GROUP + place)
    others = groups.scatter_(1, winners.unsqueeze(1), _far(x)).amin(1)
    torch.minimum(inside.scatter_(1, place.unsqueeze(1), _far(x)).amin(1), others, out=two.second)


def _far(x: Tensor) -> float:
    """A score above all others that still can be added to them."""
    return 2.0**100 if x.dtype == torch.float32 else 2.0**900


def _read_off(n_clusters: int, x: Tensor) -> Tensor:
    """How often the smallest score occurs and at which cluster, as a product with a mask, (2, K)."""
    return torch.stack([x.new_ones(n_clusters), torch.arange(n_clusters, device=x.device, dtype=x.dtype)])


def _note(two: _Two, part: tuple[slice, ...], count: Tensor, label: Tensor, best: Tensor, second: Tensor) -> None:
    """Keep what a chunk gave. Where the smallest score occurs twice, the label is settled later."""
    several = count > 1.5
    two.labels[part] = label.masked_fill_(several, 0.0).to(torch.int64)
    two.best[part] = best
    two.second[part] = torch.where(several, best, second)
