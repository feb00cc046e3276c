"""What a method needs of an augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from lightning_dc.randomness import StepRandom


class Augmentation(ABC):
    """A random transform of a whole batch, on the device of the batch.

    It draws one row of random numbers a sample from the step's own generator, so that augmented training does not
    depend on the number of processes and resumes exactly.
    """

    @abstractmethod
    def __call__(self, x: Tensor, random: StepRandom) -> Tensor:
        """Transformed samples, (B, *input_shape), same shape."""

    @abstractmethod
    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raise an :class:`~lightning_dc.errors.InputError` where samples of this shape can't be transformed."""
