"""Quantities of a training step: properties that declare what they need of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from lightning_dc.model import ClusteringModel

Need = Callable[[ClusteringModel], object]
"""Function that raises an InputError if the model lacks a part that a quantity needs."""


Value = Tensor | Sequence[Tensor]
"""A tensor, or one for each of several heads."""


class Quantity(cached_property[Any]):
    """Property of a training step that loss terms can read; it is computed when a term first reads it.

    Args:
        compute: method that computes the quantity.
        need: function that checks, before training, that the model has the part that the quantity needs; None for no
            such part.
        is_refreshed: True if a callback must compute the quantity from the whole training set.
        of_clusters: True if the quantity has a meaning only where there are clusters.
    """

    def __init__(
        self,
        compute: Callable[[Any], Value],
        need: Need | None = None,
        is_refreshed: bool = False,
        of_clusters: bool = False,
    ) -> None:
        super().__init__(compute)
        self.need = need
        self.is_refreshed = is_refreshed
        self.of_clusters = of_clusters


def quantity(
    need: Need | None = None, is_refreshed: bool = False, of_clusters: bool = False
) -> Callable[[Callable[[Any], Value]], Quantity]:
    """Return a decorator that makes a method of a step a quantity; the arguments are those of :class:`Quantity`."""
    return lambda compute: Quantity(compute, need, is_refreshed, of_clusters)
