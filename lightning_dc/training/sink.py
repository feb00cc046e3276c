"""Sinks: functions that receive the rows of a pass over a data set piece by piece."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_dc.distributed import CHUNK_SIZE, failing_together, sum_, world

Sink = Callable[[slice, Tensor, Tensor], None]
"""Function of a range of rows of the data set, their soft assignments, (n, K), and their embeddings, (n, D)."""


class GuardedSink:
    """Wrapper that gives a sink the rows of all processes, and raises its error only when the pass is over.

    If an error were raised at once on one process, the others would wait for it forever.

    Args:
        sink: the sink to wrap.
        n_samples: number of samples in the data set.

    Attributes:
        n_rounds: number of rounds that have been shared.
    """

    def __init__(self, sink: Sink, n_samples: int) -> None:
        self._sink = sink
        self._n_samples = n_samples
        self.n_rounds = 0
        self._error: Exception | None = None

    def share(self, q: Tensor, z: Tensor) -> None:
        """Hand over the rows of one round, in which each process has one chunk or none.

        Args:
            q: soft assignments of this process's chunk, (n, K).
            z: its embeddings, (n, D).
        """
        rank, world_size = world()
        start = self.n_rounds * world_size * CHUNK_SIZE
        stop = min(start + world_size * CHUNK_SIZE, self._n_samples)
        self.n_rounds += 1
        if world_size > 1:
            own = slice(rank * CHUNK_SIZE, rank * CHUNK_SIZE + len(q))
            whole = z.new_zeros(stop - start, q.shape[1] + z.shape[1])
            whole[own] = torch.cat([q.to(z.dtype), z], 1)
            q, z = torch.split(sum_(whole), [q.shape[1], z.shape[1]], 1)
        self._hand_over(slice(start, stop), q, z)

    def end(self) -> None:
        """Raise if the sink has failed on any process."""
        with failing_together():
            if self._error is not None:
                raise self._error

    def _hand_over(self, rows: slice, q: Tensor, z: Tensor) -> None:
        if self._error is not None:
            return
        try:
            self._sink(rows, q, z)
        except Exception as error:
            self._error = error
            if world()[1] == 1:
                raise
