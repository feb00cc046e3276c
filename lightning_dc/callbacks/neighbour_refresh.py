"""Refresh of the nearest neighbours of the training samples."""

from __future__ import annotations

import math
from typing import ClassVar, get_args

import torch
from torch import Tensor
from torch.nn import functional

from lightning_dc.batch import SampleLoader
from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import CHUNK_SIZE, owned_chunks, owned_rows, sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import NeighbourMetric, nearest_neighbours
from lightning_dc.kmeans.precision import full_precision
from lightning_dc.training import (
    ClusteringModule,
    Neighbours,
    embed_owned,
    read_rows,
    record,
    training_loader,
)

_ROWS_OF_A_BLOCK = 4 * CHUNK_SIZE


class NeighbourRefresh(Refresh):
    """Callback that finds the nearest neighbours of all training samples.

    When the first phase that reads neighbours begins, they are those of the inputs; in later phases, and at later
    refreshes, those of the embedding, which training has made more alike (Dang et al. 2021,
    https://arxiv.org/abs/2103.04147). The search is exact, by blocked products on the device. Each process finds the
    neighbours of its own rows, so that the result does not depend on the number of processes. The similarity of a
    neighbour at distance d is exp(-d^2 / t), where t is the mean of all d^2. The share of neighbours that changed is
    logged as ``neighbours/changed``.

    Args:
        k: number of neighbours of a sample.
        metric: ``euclidean``, or ``cosine`` for distances of directions.
        every_n_steps: optimizer steps between two refreshes; with both None, there is one when a phase begins.
        every_n_epochs: epochs between two refreshes, instead of ``every_n_steps``.

    Raises:
        InputError: ``k`` is below 1, or the metric is unknown.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"z_neighbour", "log_q_neighbour", "similarity"})

    def __init__(
        self,
        k: int = 20,
        metric: NeighbourMetric = "euclidean",
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
    ) -> None:
        if k < 1:
            raise InputError(f"k={k} neighbours must be at least 1")
        if metric not in get_args(NeighbourMetric):
            raise InputError(f"metric={metric!r} is unknown; choose from {', '.join(get_args(NeighbourMetric))}")
        super().__init__(every_n_steps, every_n_epochs)
        self.k = k
        self.metric: NeighbourMetric = metric

    def applies(self, module: ClusteringModule) -> bool:
        return not self.provides.isdisjoint(module.quantities_read)

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        n_samples, before = training_loader(module).n_samples, module.state.neighbours
        if self.k >= n_samples:
            raise InputError(f"k={self.k} neighbours must be fewer than the {n_samples} samples; choose a smaller k")
        with full_precision(module.device):
            numbers, squares = self._search(module, of_inputs=before is None)
        scale = squares.double().mean().clamp_min(torch.finfo(torch.float32).tiny)
        changed = None
        if before is not None and before.numbers.shape == numbers.shape:
            changed = 1.0 - _share_in_common(before.numbers, numbers)
            record(module, {"neighbours/changed": changed})
        module.state.neighbours = Neighbours(numbers, (-squares / scale).exp().float(), changed)

    def _search(self, module: ClusteringModule, *, of_inputs: bool) -> tuple[Tensor, Tensor]:
        """Return the neighbours of all samples, (N, k), int32, and their squared distances, (N, k)."""
        loader = training_loader(module)
        n_samples = loader.n_samples
        rows = owned_rows(n_samples).to(module.device)
        starts = range(0, n_samples, _ROWS_OF_A_BLOCK)
        parts = [slice(start, min(start + _ROWS_OF_A_BLOCK, n_samples)) for start in starts]
        queries = self._directions(_owned_inputs(module, loader) if of_inputs else embed_owned(module, loader))
        if of_inputs:
            blocks = (self._directions(_inputs(module, loader, part)) for part in parts)
        else:
            table = _shared(queries, rows, n_samples)
            blocks = (table[part] for part in parts)
        numbers, squares = nearest_neighbours(queries, rows, zip(starts, blocks, strict=True), self.k)
        return _shared(numbers.to(torch.int32), rows, n_samples), _shared(squares, rows, n_samples)

    def _directions(self, x: Tensor) -> Tensor:
        return functional.normalize(x) if self.metric == "cosine" else x


def _inputs(module: ClusteringModule, loader: SampleLoader, rows: slice) -> Tensor:
    """Return the inputs of a range of samples, (n, F), float32 at least."""
    return read_rows(module, loader, rows).x.flatten(1).to(module.model.wide_dtype)


def _owned_inputs(module: ClusteringModule, loader: SampleLoader) -> Tensor:
    """Return the inputs of the samples of this process, (n, F)."""
    none = torch.zeros(0, math.prod(module.model.input_shape), dtype=module.model.wide_dtype, device=module.device)
    return torch.cat([none, *(_inputs(module, loader, rows) for rows in owned_chunks(loader.n_samples))])


def _shared(values: Tensor, rows: Tensor, n_samples: int) -> Tensor:
    """Return a table of all samples, (N, ...), on every process, of which each process has computed some rows."""
    table = values.new_zeros(n_samples, *values.shape[1:])
    table[rows] = values
    return sum_(table)


def _share_in_common(before: Tensor, after: Tensor) -> float:
    """Return the share of neighbours that two tables, (N, k), have in common."""
    n_common = 0
    for start in range(0, len(after), CHUNK_SIZE):
        old, new = (table[start : start + CHUNK_SIZE] for table in (before, after))
        n_common += int((old[:, :, None] == new[:, None, :]).sum())
    return n_common / after.numel()
