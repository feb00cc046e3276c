"""Base class of loss terms."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from torch import nn


class LossTerm(nn.Module):
    """Base class of the terms of a loss.

    A subclass defines ``forward``, whose parameters name the quantities of a training step that it reads, such as
    ``forward(self, z, x_hat)``; :class:`~lightning_dc.training.TrainingStep` lists all quantities with their shapes.
    ``forward`` returns one value for each sample, (B,), or one value for the whole model, (); values of samples are
    averaged over the global batch. A quantity that no term reads is never computed.

    A term is a plain module: ``KLTarget()(p, q)`` can be called with any tensors. Constructor arguments must be kept as
    attributes of the same names, by which a checkpoint describes the term. Parameters of a term are trained in the
    phases that give it a weight.

    Attributes:
        quantities: names of the quantities that ``forward`` reads; parameters with a default are not among them.

    Example:
        >>> class Norm(LossTerm):
        ...     def forward(self, z):
        ...         return z.square().sum(1)
        >>> Norm.quantities
        ('z',)
    """

    quantities: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.forward is not nn.Module.forward:
            _, *parameters = inspect.signature(cls.forward).parameters.values()
            required = [parameter for parameter in parameters if parameter.default is inspect.Parameter.empty]
            cls.quantities = tuple(parameter.name for parameter in required)

    def check_clusters(self, n_clusters: int) -> None:
        """Raise an :class:`~lightning_dc.errors.InputError` if the term does not fit so many clusters."""
