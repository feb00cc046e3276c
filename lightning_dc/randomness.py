"""Counter-based random numbers: a step draws the same numbers whether or not its run was interrupted before."""

from __future__ import annotations

import functools
import hashlib

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
    """Random numbers of one training step, one row for each sample of the *global* batch.

    Each draw has a name. Its numbers follow only from the seed of the run, the step and that name, so they do not
    depend on the order of draws, and two draws of one name are equal. Every process draws the rows of the whole batch
    and keeps its own (``rank, rank + W, ...``), so that the numbers of a sample do not depend on the number W of
    processes.

    Args:
        seed: seed of the run.
        step: global step.
        n_global: number of samples in the batch over all processes.
        device: device on which the numbers are drawn.
        micro_batch: number of the batch among those whose gradients are accumulated for one step.

    Example:
        >>> random = StepRandom(seed=0, step=7, n_global=4, device=torch.device("cpu"))
        >>> first = random.uniform("shift", 2)
        >>> _ = random.normal("noise", 3)
        >>> torch.equal(first, random.uniform("shift", 2))
        True
    """

    def __init__(self, seed: int, step: int, n_global: int, device: torch.device, micro_batch: int = 0) -> None:
        self.n_global = n_global
        self._counters = (seed, step, micro_batch)
        self._scope = ""
        self._generator = _generator(device)

    def scope(self, name: str) -> StepRandom:
        """Return random numbers for a part of the step, such as one of two views, which has names of its own.

        Args:
            name: name of the part.
        """
        scoped = StepRandom(*self._counters[:2], self.n_global, self._generator.device, self._counters[2])
        scoped._scope = f"{self._scope}{name}/"
        return scoped

    def uniform(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw uniform numbers in [0, 1), (B, *shape).

        Args:
            name: name of the draw.
            *shape: shape of the numbers of one sample.
            dtype: type of the numbers.
        """
        generator = self._seeded(name)
        return self._own(torch.rand(self.n_global, *shape, generator=generator, device=generator.device, dtype=dtype))

    def normal(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw standard normal numbers, (B, *shape); arguments as in :meth:`uniform`."""
        generator = self._seeded(name)
        return self._own(torch.randn(self.n_global, *shape, generator=generator, device=generator.device, dtype=dtype))

    def dropout(self, name: str, x: Tensor, p: float) -> Tensor:
        """Zero each element of ``x``, (B, ...), with probability ``p`` and scale the others by 1 / (1 - p).

        Args:
            name: name of the draw.
            x: values.
            p: probability, in [0, 1).
        """
        if p == 0.0:
            return x
        keep = self.uniform(name, *x.shape[1:]) >= p
        return x * keep.to(x.dtype).div_(1.0 - p)

    def _seeded(self, name: str) -> torch.Generator:
        """Return the generator, seeded for the draw of this name."""
        return self._generator.manual_seed(mix_seed(*self._counters, _hash_name(self._scope + name)))

    @staticmethod
    def _own(rows: Tensor) -> Tensor:
        """Return the rows of this process among those of the global batch."""
        rank, world_size = world()
        return rows[rank::world_size]


@functools.cache
def _generator(device: torch.device) -> torch.Generator:
    """Return the generator of a device; one is enough, as it is seeded before each draw, and creating it takes long."""
    return torch.Generator(device=device)


@functools.cache
def _hash_name(name: str) -> int:
    """Hash a name to 64 bits; Python's own hash differs from process to process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
