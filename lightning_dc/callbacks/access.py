"""The module that a callback drives."""

from __future__ import annotations

import lightning.pytorch as pl

from lightning_dc.training import ClusteringModule


def clustering_module(module: pl.LightningModule) -> ClusteringModule:
    """The module as a :class:`~lightning_dc.training.ClusteringModule`.

    Raises:
        TypeError: it is another one.
    """
    if not isinstance(module, ClusteringModule):
        raise TypeError(f"the callbacks of lightning_dc drive a ClusteringModule, got {type(module).__name__}")
    return module
