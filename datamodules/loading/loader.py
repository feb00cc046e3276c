"""Whole batches from tensors in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.loading.block_shuffle import BlockShuffle
from datamodules.loading.file_rows import FileRows
from datamodules.loading.scaling import WIDE, Scaling
from datamodules.loading.sparse import SparseRows
from lightning_dc.batch import Batch
from lightning_dc.distributed import world
from lightning_dc.randomness import mix_seed


class BatchLoader:
    """Yields whole batches by indexing tensors: no workers, no collation, no copy of single samples.

    It shards itself over processes: rank r gets rows ``r, r + W, ...`` of each global batch in training, and batches
    ``r, r + W, ...`` in evaluation, where every sample comes exactly once. Order depends on seed and epoch alone, and
    the position within an epoch is state, so that a run resumes in the middle of an epoch. Samples in a file come in a
    block shuffle (:class:`~datamodules.loading.block_shuffle.BlockShuffle`), others in a random order.

    Args:
        x: samples, (N, *input_shape); integers stay integers, and sparse rows sparse, until they are in a batch.
        y: labels, (N,), int64; None for none.
        scaling: scales a batch of samples.
        batch_size: samples in a batch over all processes.
        shuffle: training order; False is evaluation.
        seed: seed of the order.
        sample_ids: id of each sample in its source, (N,); None numbers them.
        dtype: floating type of a batch.
        targets: what a supervised method learns, (N,) or (N, T); None for none.
        ids: what the user calls each sample, (N,), integers or strings; None for nothing.
    """

    def __init__(
        self,
        x: Tensor | SparseRows | FileRows,
        y: Tensor | None,
        *,
        scaling: Scaling,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        sample_ids: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        targets: Tensor | None = None,
        ids: NDArray[Any] | None = None,
    ) -> None:
        self.x = x
        self.y = y
        self.scaling = scaling
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.dtype = dtype
        self.targets = targets.to(dtype) if targets is not None and targets.is_floating_point() else targets
        self.ids = ids
        self.n_samples = len(x)
        self.sample_ids = torch.arange(len(x)) if sample_ids is None else sample_ids
        if shuffle:
            self.sampler = self  # Lightning calls sampler.set_epoch
        self._factor: np.floating[Any] | None = None  # of stored values
        if scaling.number is not None:
            wide = x.dtype in WIDE or dtype == torch.float64
            self._factor = np.float64(scaling.number) if wide else np.float32(scaling.number)
        self._epoch = 0
        self._start = 0
        self._position = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        if epoch != self._epoch:  # another one than a saved position belongs to
            self._start = self._position = 0
        self._epoch = epoch

    def __len__(self) -> int:
        n_batches = -(-self.n_samples // self.batch_size)
        if self.shuffle:
            return n_batches
        rank, world_size = world()
        return len(range(rank, n_batches, world_size))

    def __iter__(self) -> Iterator[Batch]:
        return self._training_batches() if self.shuffle else self._evaluation_batches()

    def read(self, start: int, stop: int) -> Batch:
        """Samples ``start .. stop - 1`` in index order."""
        stop = min(stop, self.n_samples)
        index = torch.arange(start, stop, device=self.x.device)
        y, targets = (None if rows is None else rows[start:stop] for rows in (self.y, self.targets))
        return Batch(self._take(slice(start, stop)), y, index, targets=targets)

    def unscale(self, x: Tensor) -> Tensor | None:
        """Samples, or means of them, as the DataModule's ``load`` has them; None where there is no way back."""
        return self.scaling.unscale(x)

    def state_dict(self) -> dict[str, Any]:
        """Epoch, position within it, and the seed of the order."""
        return {"epoch": self._epoch, "position": self._position, "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved position."""
        self._start = self._position = state["position"] % len(self)
        self._epoch = state["epoch"]
        self.seed = state["seed"]

    def _training_batches(self) -> Iterator[Batch]:
        start, self._start = self._start, 0
        batches = self._from_file(start) if isinstance(self.x, FileRows) else self._from_memory(start)
        for position, (members, own, x) in enumerate(batches, start + 1):
            self._position = position
            y, targets = (None if rows is None else rows.index_select(0, own) for rows in (self.y, self.targets))
            yield Batch(x, y, own, len(members), targets)

    def _from_memory(self, start: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Rows of each global batch, those of this process, and their scaled samples."""
        rank, world_size = world()
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self._epoch))
        order = torch.randperm(self.n_samples, generator=generator).to(self.x.device)
        for position in range(start, len(self)):
            members = order[position * self.batch_size : (position + 1) * self.batch_size]
            own = members if world_size == 1 else members[rank::world_size]
            yield members, own, self._take(own)

    def _from_file(self, start: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The same, from one window of a block shuffle after another."""
        assert isinstance(self.x, FileRows)
        rank, world_size = world()
        shuffle, seed = BlockShuffle.of_row_bytes(self.x.row_bytes), mix_seed(self.seed, self._epoch)
        left = torch.empty(0, dtype=torch.int64)  # rows of a batch that the next window completes
        left_x = self.x[:0]
        # Made once: fresh memory costs more than reading from the page cache.
        n_together = min(self.n_samples, shuffle.block_rows * shuffle.n_together)
        buffer = torch.empty((n_together, *self.x.shape[1:]), dtype=self.x.dtype)
        for window, n_over in shuffle.windows(self.n_samples, seed, start * self.batch_size):
            rows = torch.cat([torch.arange(block.start, block.stop) for block in window.blocks])
            filled = 0
            for block in window.blocks:
                n_rows = block.stop - block.start
                self.x.read_into(block, buffer[filled : filled + n_rows])
                filled += n_rows
            places, order = 0, window.order[n_over:]
            while len(left) + len(order) - places >= self.batch_size:
                chosen = order[places : places + self.batch_size - len(left)]
                places += len(chosen)
                members = torch.cat([left, rows[chosen]])
                if len(left) > 0:
                    x = torch.cat([left_x, buffer[chosen]])[rank::world_size]
                else:
                    x = buffer.index_select(0, chosen[rank::world_size])
                left, left_x = left[:0], left_x[:0]
                yield members, members[rank::world_size], self.scaling(x, self.dtype, in_place=True)
            chosen = order[places:]
            left, left_x = torch.cat([left, rows[chosen]]), torch.cat([left_x, buffer[chosen]])
        if len(left) > 0:
            yield left, left[rank::world_size], self.scaling(left_x[rank::world_size], self.dtype)

    def _take(self, rows: slice | Tensor) -> Tensor:
        """Scaled samples of a range, or by number."""
        if isinstance(self.x, SparseRows):
            if self._factor is not None:
                return self.x.dense(rows, self._factor).to(self.dtype)
            return self.scaling(self.x.dense(rows), self.dtype, in_place=True)
        if isinstance(rows, slice):
            return self.scaling(self.x[rows], self.dtype)
        if isinstance(self.x, Tensor):
            return self.scaling.take(self.x, rows, self.dtype)
        return self.scaling(self.x.index_select(0, rows), self.dtype, in_place=True)

    def _evaluation_batches(self) -> Iterator[Batch]:
        rank, world_size = world()
        for start in range(rank * self.batch_size, self.n_samples, world_size * self.batch_size):
            yield self.read(start, start + self.batch_size)
