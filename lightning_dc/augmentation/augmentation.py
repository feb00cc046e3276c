"""Base class of augmentations."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from lightning_dc.randomness import StepRandom


class Augmentation(ABC):
    """Base class of random transforms of a whole batch, on the device of the batch.

    An augmentation draws one row of random numbers for each sample from the random numbers of the step, and each draw
    has a name. So augmented training does not depend on the number of processes, and resumes exactly. Constructor
    arguments must be kept as attributes of the same names, by which a checkpoint describes the augmentation.
    """

    @abstractmethod
    def __call__(self, x: Tensor, random: StepRandom) -> Tensor:
        """Return transformed samples, (B, *input_shape), of the same shape.

        Args:
            x: samples, (B, *input_shape).
            random: random numbers of this view of the batch.
        """

    @abstractmethod
    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raise an :class:`~lightning_dc.errors.InputError` if samples of this shape cannot be transformed."""
