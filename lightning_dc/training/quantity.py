"""Quantities of a training step, as properties that say what they need."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from torch import Tensor

from lightning_dc.model import ClusteringModel

Need = Callable[[ClusteringModel], object]
"""Raises an InputError if a model lacks what a quantity needs."""


class Quantity(cached_property[Tensor]):
    """A property of a step that loss terms can read; it is computed when the first one asks.

    Args:
        compute: method that computes it.
        need: checks, before training, that the model has what it needs; None needs nothing.
        is_refreshed: a callback must compute it from the whole training set.
    """

    def __init__(self, compute: Callable[[Any], Tensor], need: Need | None = None, is_refreshed: bool = False) -> None:
        super().__init__(compute)
        self.need = need
        self.is_refreshed = is_refreshed


def quantity(need: Need | None = None, is_refreshed: bool = False) -> Callable[[Callable[[Any], Tensor]], Quantity]:
    """Make a method of a step a quantity; arguments as in :class:`Quantity`."""
    return lambda compute: Quantity(compute, need, is_refreshed)
