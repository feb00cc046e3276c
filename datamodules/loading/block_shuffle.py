"""A random order for data in a file that is nearly as fast to read as the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dc.randomness import mix_seed

_WINDOW_BYTES = 1 << 27
_BLOCKS_IN_WINDOW = 32


class Window(NamedTuple):
    """Rows that are in memory together.

    Attributes:
        blocks: ranges of rows, in the order in which they are read.
        order: random order of all n rows of the blocks, as positions from 0 to n - 1 in the blocks, (n,), int64.
    """

    blocks: list[slice]
    order: Tensor


class BlockShuffle(NamedTuple):
    """Blocks of neighbouring rows in random order, and a random order of the rows within a window of several blocks.

    The order depends on the seed alone, and a window can be found without the windows before it.

    Attributes:
        block_rows: number of rows in a block.
        n_together: number of blocks in a window.
    """

    block_rows: int
    n_together: int

    @classmethod
    def of_row_bytes(cls, row_bytes: int) -> BlockShuffle:
        """Return a shuffle with windows of 128 MiB in 32 blocks.

        Args:
            row_bytes: number of bytes of a row.
        """
        return cls(max(1, _WINDOW_BYTES // _BLOCKS_IN_WINDOW // max(1, row_bytes)), _BLOCKS_IN_WINDOW)

    def windows(self, n_rows: int, seed: int, n_done: int = 0) -> Iterator[tuple[Window, int]]:
        """Yield the windows of an epoch, from the first one that is not yet done.

        Args:
            n_rows: number of rows in all.
            seed: seed of the epoch.
            n_done: number of rows at the beginning of the order that are done.

        Yields:
            A window, and the number of its rows that are done.
        """
        n_blocks = -(-n_rows // self.block_rows)
        blocks = torch.randperm(n_blocks, generator=torch.Generator().manual_seed(mix_seed(seed)))
        for number, together in enumerate(torch.split(blocks, self.n_together)):
            ranges = [
                slice(block * self.block_rows, min((block + 1) * self.block_rows, n_rows))
                for block in together.tolist()
            ]
            size = sum(rows.stop - rows.start for rows in ranges)
            if n_done >= size:
                n_done -= size
                continue
            generator = torch.Generator().manual_seed(mix_seed(seed, number))
            yield Window(ranges, torch.randperm(size, generator=generator)), n_done
            n_done = 0
