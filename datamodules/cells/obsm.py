"""Inputs from a matrix of ``obsm``, such as principal components."""

from __future__ import annotations

from typing import Any

import numpy as np

from datamodules.messages import quote_first
from datamodules.tables.parquet_file import element_names
from lightning_dc.errors import InputError


class ObsmMatrix:
    """Matrix of ``obsm`` that is taken as it is.

    Args:
        obsm: its key.
        n_columns: its number of columns.
    """

    def __init__(self, obsm: str, n_columns: int) -> None:
        self.obsm = obsm
        self.n_columns = n_columns

    @classmethod
    def learn(cls, data: Any, obsm: str, source: str) -> ObsmMatrix:
        """Find the matrix in the training data.

        Args:
            data: the AnnData.
            obsm: key of the matrix.
            source: name of the data in messages.

        Raises:
            InputError: there is no such matrix.
        """
        return cls(obsm, _matrix(data, obsm, source).shape[1])

    @property
    def column_names(self) -> list[str]:
        """Name of each column, such as ``X_pca[0]``."""
        return element_names(self.obsm, self.n_columns)

    def read(self, data: Any, source: str) -> Any:
        """Return the matrix of data with as many columns, (N, n_columns): an array, or a scipy sparse matrix.

        Raises:
            InputError: there is no such matrix, or it has another number of columns.
        """
        matrix = _matrix(data, self.obsm, source)
        if matrix.shape[1] != self.n_columns:
            raise InputError(
                f"{source}: obsm[{self.obsm!r}] has {matrix.shape[1]} columns, but that of the training data had "
                f"{self.n_columns}; compute it as for them"
            )
        return matrix

    def state_dict(self) -> dict[str, Any]:
        """Return key and number of columns."""
        return {"obsm": self.obsm, "n_columns": self.n_columns}


def _matrix(data: Any, obsm: str, source: str) -> Any:
    from scipy.sparse import issparse

    if obsm not in data.obsm:
        raise InputError(f"obsm={obsm!r} is no matrix in obsm of {source}, which has {_named(data.obsm)}")
    matrix = data.obsm[obsm] if issparse(data.obsm[obsm]) else np.asarray(data.obsm[obsm])
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise InputError(
            f"{source}: obsm[{obsm!r}] has shape {matrix.shape} and dtype {matrix.dtype}; give a matrix of numbers"
        )
    return matrix


def _named(matrices: Any) -> str:
    return quote_first(list(matrices)) or "none"
