"""The centroids of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning_dc.errors import InputError
from lightning_dc.heads import CentroidHead

if TYPE_CHECKING:
    from lightning_dc.training.module import ClusteringModule


def centroid_head(module: ClusteringModule) -> CentroidHead:
    """The module's head, as one with centroids.

    Raises:
        InputError: it has none.
    """
    if not isinstance(module.head, CentroidHead):
        raise InputError(
            f"{type(module.head).__name__} has no centroids, which k-means and its losses need; use a CentroidHead"
        )
    return module.head
