"""Fitting of a clustering head alone."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lightning_dc.heads import ClusteringHead
from lightning_dc.training.module import ClusteringModule


class HeadFit(ABC):
    """Base class of callbacks that know how to fit the clustering head of their method to embeddings."""

    @abstractmethod
    def fit_copy(self, head: ClusteringHead, z: Tensor, generator: torch.Generator) -> ClusteringHead:
        """Return a copy of a head that is fitted to some embeddings, from scratch and on this process alone.

        Args:
            head: head of the method, which stays as it is.
            z: embeddings, (n, D), on the device of the head.
            generator: random numbers of the fit.
        """


def head_fit(module: ClusteringModule) -> HeadFit | None:
    """Return the callback that fits the head of a method; None if no callback does."""
    callbacks = module.trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, HeadFit)), None)
