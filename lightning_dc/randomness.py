"""Counter-based random numbers: a training step draws the same ones however the run got there."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.distributed import world

_MASK = (1 << 64) - 1


def mix_seed(*counters: int) -> int:
    """Hash integers to a 63-bit seed (the SplitMix64 finaliser over each, Steele et al. 2014).

    Example:
        >>> mix_seed(1, 2) == mix_seed(1, 2) != mix_seed(2, 1)
        True
    """
    state = 0x9E3779B97F4A7C15
    for counter in counters:
        state = (state ^ (counter & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


class StepRandom:
    """Random numbers of one training step, one row a sample of the *global* batch.

    Every process draws the rows of the whole batch and keeps its own (``rank, rank + W, ...``), so that the
    numbers that a sample meets do not depend on the number of processes.

    Args:
        seed: seed of the run.
        step: global step.
        n_global: samples in the batch over all processes.
        device: where the numbers are needed.
        micro_batch: number of the batch among those whose gradients make one step.
    """

    def __init__(self, seed: int, step: int, n_global: int, device: torch.device, micro_batch: int = 0) -> None:
        self.n_global = n_global
        self._generator = torch.Generator(device=device).manual_seed(mix_seed(seed, step, micro_batch))

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform numbers in [0, 1), (B, *shape)."""
        rank, world_size = world()
        device = self._generator.device
        numbers = torch.rand(self.n_global, *shape, generator=self._generator, device=device, dtype=dtype)
        return numbers[rank::world_size]

    def dropout(self, x: Tensor, p: float) -> Tensor:
        """Zero each element of ``x``, (B, ...), with probability ``p`` and scale the others by 1 / (1 - p)."""
        if p == 0.0:
            return x
        keep = self.uniform(*x.shape[1:]) >= p
        return x * keep.to(x.dtype).div_(1.0 - p)
