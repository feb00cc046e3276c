"""Loader of whole batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.loading.block_shuffle import BlockShuffle, Window
from datamodules.loading.file_rows import FileRows
from datamodules.loading.rows import Rows
from datamodules.loading.scaling import Scaling
from lightning_dc.batch import Batch, checked_index
from lightning_dc.distributed import world
from lightning_dc.errors import InputError
from lightning_dc.randomness import mix_seed


class BatchLoader:
    """Loader that takes whole batches from samples at once: no workers, no collation, no copies of single samples.

    It divides the samples among processes: in training, rank r gets rows ``r, r + W, ...`` of each global batch, and in
    evaluation it gets batches ``r, r + W, ...``, where each sample comes exactly once. The order depends on seed and
    epoch alone, and the position within an epoch is state, so that a run resumes in the middle of an epoch. Samples in
    a file come in the order of a block shuffle (:class:`~datamodules.loading.block_shuffle.BlockShuffle`), others in a
    random order.

    Args:
        x: samples, (N, *input_shape). Integers stay integers, and sparse samples stay sparse, until they are in a
            batch.
        y: labels, (N,), int64; None without labels.
        scaling: scaling of the samples.
        batch_size: number of samples in a batch over all processes.
        shuffle: iterate in training order; False iterates in the order of the index, for evaluation.
        seed: seed of the order.
        repeat: use the order of the first epoch in every epoch.
        source_rows: source row of each sample, (N,), int64; None if it equals the index.
        dtype: floating type of a batch.
        targets: targets of a supervised method, (N,) or (N, T); None without targets.
        ids: id of each sample, (N,), integers or strings; None without ids.
    """

    def __init__(
        self,
        x: Rows,
        y: Tensor | None,
        *,
        scaling: Scaling,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        repeat: bool = False,
        source_rows: Tensor | None = None,
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
        self.repeat = repeat
        self.dtype = dtype
        self.targets = targets.to(dtype) if targets is not None and targets.is_floating_point() else targets
        self.ids = ids
        self.n_samples = len(x)
        self.source_rows = torch.arange(len(x)) if source_rows is None else source_rows
        if shuffle:
            self.sampler = self  # Lightning calls sampler.set_epoch
        self._epoch = 0
        self._start = 0
        self._position = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        if epoch != self._epoch:  # a saved position belongs to its own epoch only
            self._start = self._position = 0
        self._epoch = epoch

    def __len__(self) -> int:
        n_batches = -(-self.n_samples // self.batch_size)
        # Lightning leaves out the whole loop of a process without a batch, for which the others would wait for ever.
        return n_batches if self.shuffle else -(-n_batches // world()[1])

    def __iter__(self) -> Iterator[Batch]:
        return self._training_batches() if self.shuffle else self._evaluation_batches()

    def read(self, start: int, stop: int) -> Batch:
        """Return the samples with index ``start`` to ``stop - 1``, in the order of their index."""
        stop = min(stop, self.n_samples)
        index = torch.arange(start, stop, device=self.x.device)
        y, targets = (None if column is None else column[start:stop] for column in (self.y, self.targets))
        return Batch(self._scaled(slice(start, stop)), y, index, targets=targets)

    def take(self, index: Tensor) -> Batch:
        """Return the samples of these indices, in the order of ``index``.

        Args:
            index: indices, (n,), int64, in any order and on any device; an index may come more than once.

        Returns:
            A batch of the values that :meth:`read` returns (but 0 for -0 of float32 samples in memory), on the device
            of the samples.

        Raises:
            InputError: an index does not lie between 0 and N - 1.
        """
        index = checked_index(index, self.n_samples).to(self.x.device)
        return self._batch(index, self._scaled(index))

    def unscale(self, x: Tensor) -> Tensor | None:
        """Return samples, or means of samples, in the unit of the data; None where that is not possible."""
        return self.scaling.unscale(x)

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch, the position within it and the seed of the order."""
        return {"epoch": self._epoch, "position": self._position, "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved position.

        Raises:
            InputError: the state is not one of :meth:`state_dict`.
        """
        if not all(isinstance(state.get(name), int) for name in self.state_dict()):
            raise InputError(
                "ckpt_path names a checkpoint without the position in the training samples; it is damaged or of "
                "another version, so give another one"
            )
        self._start = self._position = state["position"] % len(self)
        self._epoch = state["epoch"]
        self.seed = state["seed"]

    def _training_batches(self) -> Iterator[Batch]:
        start, self._start = self._start, 0
        x = self.x
        batches = self._from_file(x, start) if isinstance(x, FileRows) else self._from_memory(start)
        for position, (members, own, own_x) in enumerate(batches, start + 1):
            self._position = position
            yield self._batch(own, own_x, len(members))

    def _from_memory(self, start: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the index of each global batch, the part of it that this process has, and the scaled samples of it."""
        rank, world_size = world()
        generator = torch.Generator().manual_seed(self._order_seed())
        order = torch.randperm(self.n_samples, generator=generator).to(self.x.device)
        for position in range(start, len(self)):
            members = order[position * self.batch_size : (position + 1) * self.batch_size]
            own = members if world_size == 1 else members[rank::world_size]
            yield members, own, self._scaled(own)

    def _from_file(self, x: FileRows, start: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Like ``_from_memory``, but read from a file, one window of the block shuffle at a time."""
        rank, world_size = world()
        shuffle, seed = BlockShuffle.of_row_bytes(x.row_bytes), self._order_seed()
        left = torch.empty(0, dtype=torch.int64)  # index of a batch that the next window completes
        left_x = x[:0]
        # The buffer is made once, since fresh memory costs more than reading from the page cache.
        n_together = min(self.n_samples, shuffle.block_rows * shuffle.n_together)
        buffer = torch.empty((n_together, *x.shape[1:]), dtype=x.dtype)
        for window, n_over in shuffle.windows(self.n_samples, seed, start * self.batch_size):
            index = _read_window(x, window, buffer)
            position, order = 0, window.order[n_over:]
            while len(left) + len(order) - position >= self.batch_size:
                chosen = order[position : position + self.batch_size - len(left)]
                position += len(chosen)
                members = torch.cat([left, index[chosen]])
                if len(left) > 0:
                    own_x = torch.cat([left_x, buffer[chosen]])[rank::world_size]
                else:
                    own_x = buffer.index_select(0, chosen[rank::world_size])
                left, left_x = left[:0], left_x[:0]
                yield members, members[rank::world_size], self.scaling(own_x, self.dtype, in_place=True)
            chosen = order[position:]
            left, left_x = torch.cat([left, index[chosen]]), torch.cat([left_x, buffer[chosen]])
        if len(left) > 0:
            yield left, left[rank::world_size], self.scaling(left_x[rank::world_size], self.dtype)

    def _evaluation_batches(self) -> Iterator[Batch]:
        rank, world_size = world()
        for i in range(len(self)):
            start = min((i * world_size + rank) * self.batch_size, self.n_samples)
            yield self.read(start, start + self.batch_size)

    def _order_seed(self) -> int:
        return mix_seed(self.seed, 0 if self.repeat else self._epoch)

    def _scaled(self, rows: slice | Tensor) -> Tensor:
        return self.x.scaled(rows, self.scaling, self.dtype)

    def _batch(self, index: Tensor, x: Tensor, n_global: int | None = None) -> Batch:
        """Return a batch of samples, with their labels and targets."""
        y, targets = (None if column is None else column.index_select(0, index) for column in (self.y, self.targets))
        return Batch(x, y, index, n_global, targets)


def _read_window(x: FileRows, window: Window, buffer: Tensor) -> Tensor:
    """Read the blocks of a window into the buffer, one after another, and return the index of each row of it."""
    filled = 0
    for block in window.blocks:
        n_rows = block.stop - block.start
        x.read_into(block, buffer[filled : filled + n_rows])
        filled += n_rows
    return torch.cat([torch.arange(block.start, block.stop) for block in window.blocks])
