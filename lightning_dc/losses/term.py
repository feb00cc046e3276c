"""Base class of loss terms."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from torch import nn


class LossTerm(nn.Module):
    """Base class of the terms of a loss.

    A subclass writes ``forward``, whose parameters name the quantities of a training step that it reads, such as
    ``forward(self, z, x_hat)``; :class:`~lightning_dc.training.TrainingStep` lists them all with their shapes. It
    returns one value for each sample, (B,), or one value for the model as a whole, (): the former are averaged over the
    global batch. A quantity that no term reads is never computed.

    A term is a plain module: ``KLTarget()(p, q)`` can be called with any tensors. Constructor arguments are kept as
    attributes of the same names, by which a checkpoint describes the term. Parameters of a term are trained in the
    phases that weight it.

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
            cls.quantities = tuple(one.name for one in parameters if one.default is inspect.Parameter.empty)
