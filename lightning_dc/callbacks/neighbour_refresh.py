"""Refresh of the nearest neighbours of the training samples."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, get_args

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional

from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import CHUNK_SIZE, owned_chunks, owned_rows, sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import NeighbourMetric, nearest_neighbours
from lightning_dc.kmeans.precision import full_precision
from lightning_dc.training import (
    LARGE_TABLE,
    ClusteringModule,
    Neighbours,
    clustering_module,
    embed_owned,
    read_rows,
    record,
    training_loader,
)

NeighbourSpace = Literal["inputs", "embedding"]

_ROWS_OF_A_BLOCK = 4 * CHUNK_SIZE


class NeighbourRefresh(Refresh):
    """Callback that finds the nearest neighbours of all training samples.

    The search compares all pairs of samples, by blocked products on the device, so its time grows with the square of
    their number. Each process finds the neighbours of its own rows, so that the result does not depend on the number of
    processes. The similarity of a neighbour at distance d is exp(-d^2 / t), where t is the mean of all d^2. The share
    of neighbours that changed is logged as ``neighbours/changed``. A process holds the embeddings of all samples during
    the search in the embedding, and at most 2^26 numbers of the inputs otherwise.

    Args:
        k: number of neighbours of a sample.
        metric: ``euclidean``, or ``cosine`` for distances of directions.
        space: ``inputs`` or ``embedding``; None takes the inputs for the first search of a run, and then the embedding,
            in which training has brought samples of a cluster together.
        every_n_steps: optimizer steps between two refreshes; with both None, there is one when a phase begins.
        every_n_epochs: epochs between two refreshes, instead of ``every_n_steps``.

    Raises:
        InputError: ``k`` is below 1, or the metric or the space is unknown.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"z_neighbour", "log_q_neighbour", "similarity"})

    def __init__(
        self,
        k: int = 20,
        metric: NeighbourMetric = "euclidean",
        space: NeighbourSpace | None = None,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
    ) -> None:
        if k < 1:
            raise InputError(f"k={k} neighbours must be at least 1")
        if metric not in get_args(NeighbourMetric):
            raise InputError(f"metric={metric!r} is unknown; choose from {', '.join(get_args(NeighbourMetric))}")
        if space is not None and space not in get_args(NeighbourSpace):
            raise InputError(f"space={space!r} is unknown; choose from {', '.join(get_args(NeighbourSpace))}")
        super().__init__(every_n_steps, every_n_epochs)
        self.k = k
        self.metric: NeighbourMetric = metric
        self.space: NeighbourSpace | None = space

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        n_samples, terms = training_loader(module).n_samples, module.loss_terms
        read = {
            name for phase in module.phases for loss in phase.config.loss_weights for name in terms[loss].quantities
        }
        if self.k >= n_samples and not self.provides.isdisjoint(read):
            raise InputError(f"k={self.k} neighbours must be fewer than the {n_samples} samples; choose a smaller k")
        super().on_train_start(trainer, pl_module)

    def applies(self, module: ClusteringModule) -> bool:
        return not self.provides.isdisjoint(module.quantities_read)

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        before = module.state.neighbours
        with full_precision(module.device):
            of_inputs = before is None if self.space is None else self.space == "inputs"
            numbers, squares = self._search(module, of_inputs=of_inputs)
        scale = squares.double().mean().clamp_min(torch.finfo(torch.float32).tiny)
        changed = None
        if before is not None and before.numbers.shape == numbers.shape:
            changed = 1.0 - _share_in_common(before.numbers, numbers)
            record(module, {"neighbours/changed": changed})
        module.state.neighbours = Neighbours(numbers, (-squares / scale).exp().float(), changed)

    def _search(self, module: ClusteringModule, *, of_inputs: bool) -> tuple[Tensor, Tensor]:
        """Return the neighbours of all samples, (N, k), int32, and their squared distances, (N, k)."""
        loader = training_loader(module)
        n_samples, rows = loader.n_samples, owned_rows(loader.n_samples).to(module.device)
        table = None if of_inputs else _shared(embed_owned(module, loader), rows, n_samples)

        def samples(part: slice) -> Tensor:
            """Return a range of samples, (n, F) or (n, D), float32 at least."""
            if table is None:
                x = read_rows(module, loader, part).x.flatten(1).to(module.model.wide_dtype)
            else:
                x = table[part]
            return functional.normalize(x) if self.metric == "cosine" else x

        width = math.prod(module.model.input_shape) if table is None else table.shape[1]
        starts = range(0, n_samples, _ROWS_OF_A_BLOCK)
        blocks = [slice(start, min(start + _ROWS_OF_A_BLOCK, n_samples)) for start in starts]
        numbers = torch.zeros(n_samples, self.k, dtype=torch.int32, device=module.device)
        squares = torch.zeros(n_samples, self.k, dtype=module.model.wide_dtype, device=module.device)
        own, n_together = owned_chunks(n_samples), max(1, LARGE_TABLE // (CHUNK_SIZE * width))
        for first in range(0, len(own), n_together):
            chunks = own[first : first + n_together]
            queries = torch.cat([samples(chunk) for chunk in chunks])
            of = torch.cat([torch.arange(chunk.start, chunk.stop, device=module.device) for chunk in chunks])
            found = nearest_neighbours(queries, of, ((block.start, samples(block)) for block in blocks), self.k)
            numbers[of], squares[of] = found[0].to(torch.int32), found[1]
        return sum_(numbers), sum_(squares)


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
