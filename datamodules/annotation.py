"""Clusters of the training samples as columns for all rows of their source."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.batch import Assigned

NO_CLUSTER = -1
"""Cluster of a row that is no training sample."""


class Annotation(NamedTuple):
    """Clusters of all rows of a source.

    Attributes:
        cluster: cluster of each row, (N,), int64; -1 of a row that is no training sample.
        confidence: largest soft assignment of each row, (N,), NaN of a row that is no training sample; None of hard
            clusters, and if soft assignments were not kept.
        embedding: embedding of each row, (N, D), NaN of a row that is no training sample; None if they were not kept.
    """

    cluster: NDArray[np.int64]
    confidence: NDArray[Any] | None
    embedding: NDArray[Any] | None

    @classmethod
    def of(cls, final: Assigned, rows: Tensor | None, n_rows: int) -> Annotation:
        """Spread the clusters of the training samples over the rows of the source.

        Args:
            final: clusters of the training samples.
            rows: source row of each training sample, (n,); None if they are all rows.
            n_rows: number of rows N of the source.

        Example:
            >>> import torch
            >>> from types import SimpleNamespace
            >>> q = torch.tensor([[0.2, 0.8], [0.9, 0.1]])
            >>> final = SimpleNamespace(labels=torch.tensor([1, 0]), q=q, z=None, is_soft=True)
            >>> Annotation.of(final, torch.tensor([0, 2]), 3).cluster
            array([ 1, -1,  0])
        """
        at = slice(None) if rows is None else rows.numpy()
        cluster = np.full(n_rows, NO_CLUSTER, np.int64)
        cluster[at] = final.labels.numpy()
        confidence = None if final.q is None or not final.is_soft else final.q.max(1).values
        return cls(cluster, _spread(confidence, at, n_rows), _spread(final.z, at, n_rows))


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name for a new column: the name itself, or one with a number if it is taken.

    Example:
        >>> free_name("cluster", ["age"]), free_name("cluster", ["cluster", "cluster_1"])
        ('cluster', 'cluster_2')
    """
    names = (name, *(f"{name}_{i}" for i in range(1, len(taken) + 1)))
    return next(one for one in names if one not in taken)


def _spread(values: Tensor | None, at: Any, n_rows: int) -> NDArray[Any] | None:
    if values is None:
        return None
    own: NDArray[Any] = values.numpy()
    spread = np.full((n_rows, *own.shape[1:]), np.nan, own.dtype)
    spread[at] = own
    return spread
