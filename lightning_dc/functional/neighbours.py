"""Search for nearest neighbours by blocked products."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE

NeighbourMetric = Literal["euclidean", "cosine"]


def nearest_neighbours(
    queries: Tensor, rows: Tensor, blocks: Iterable[tuple[int, Tensor]], k: int
) -> tuple[Tensor, Tensor]:
    """Return the k nearest neighbours of samples among all samples, without the samples themselves.

    Scores |s|^2 - 2 q.s come from one product for each block, and the best of each block join the best of the blocks
    before. Samples are centred by the mean of the first block, so that they lose no digits far from the origin. Where
    distances differ by less than the rounding of these products, either neighbour may come first.

    Args:
        queries: samples whose neighbours are sought, (n, F).
        rows: number of each of them among all samples, (n,).
        blocks: number of the first sample of a block, and the block, (m, F); together all samples.
        k: number of neighbours, below the number of samples.

    Returns:
        Numbers of the neighbours, nearest first, (n, k), int64, and squared Euclidean distances, (n, k).

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [3.0]])
        >>> nearest_neighbours(x, torch.arange(3), [(0, x)], k=1)[0]
        tensor([[1],
                [0],
                [1]])
    """
    n_samples, center = len(queries), None
    scores = queries.new_full((n_samples, k), torch.inf)
    numbers = torch.zeros(n_samples, k, dtype=torch.int64, device=queries.device)
    for start, block in blocks:
        if center is None:
            center = block.mean(0)
            queries = queries - center
        block = block - center
        norms = block.square().sum(1)
        for first in range(0, n_samples, CHUNK_SIZE):
            part = slice(first, min(first + CHUNK_SIZE, n_samples))
            found = torch.addmm(norms, queries[part], block.T, alpha=-2.0)
            own = ((rows[part] >= start) & (rows[part] < start + len(block))).nonzero()[:, 0]
            found[own, rows[part][own] - start] = torch.inf
            best = found.topk(min(k, len(block)), 1, largest=False)
            scores[part], order = torch.cat([scores[part], best.values], 1).topk(k, 1, largest=False)
            numbers[part] = torch.cat([numbers[part], best.indices + start], 1).gather(1, order)
    squares = (scores + queries.square().sum(1, keepdim=True)).clamp_min(0.0)
    return numbers, squares
