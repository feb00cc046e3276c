"""Choice of the most frequent columns of a sparse matrix of terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_CHUNK_ROWS = 1 << 14


class FrequentColumns:
    """Columns of the terms that occur in most documents, with rows normalised to length 1.

    It is for terms that have weights already. A document without a chosen term has a row of zeros.

    Args:
        columns: numbers of the chosen columns, ascending, int64.
        n_words: number of columns F of the result; columns beyond the chosen ones are zero.
    """

    def __init__(self, columns: Tensor, n_words: int) -> None:
        self.columns = columns
        self.n_words = n_words

    @property
    def words(self) -> list[str]:
        """Name of each chosen column."""
        return [f"term {column}" for column in self.columns.tolist()]

    @classmethod
    def learn(cls, documents: csr_array[Any], n_words: int) -> FrequentColumns:
        """Choose the columns with the highest document frequency, and among equal ones the first.

        Args:
            documents: training documents, (N, V), without stored zeros.
            n_words: number of columns to keep.

        Example:
            >>> from scipy.sparse import csr_array
            >>> FrequentColumns.learn(csr_array([[1, 0, 2], [0, 0, 3]]), n_words=1).columns
            tensor([2])
        """
        frequency = np.bincount(documents.indices, minlength=documents.shape[1])
        order = np.argsort(-frequency, kind="stable")[:n_words]
        chosen = np.sort(order[frequency[order] > 0])
        return cls(torch.from_numpy(chosen.astype(np.int64)), n_words)

    def __call__(self, documents: csr_array[Any]) -> csr_array[Any]:
        """Return the chosen columns of documents, (N, V), as float32 CSR, (N, F), with rows of length 1."""
        from scipy.sparse import csr_array
        from sklearn.preprocessing import normalize

        position = np.full(documents.shape[1], -1, documents.indices.dtype)
        position[self.columns.numpy()] = np.arange(len(self.columns))
        values, indices, lengths = [], [], []
        # In chunks, since intermediate results are as large as the documents.
        for start in range(0, documents.shape[0], _CHUNK_ROWS):
            bounds = documents.indptr[start : start + _CHUNK_ROWS + 1]
            columns = position[documents.indices[bounds[0] : bounds[-1]]]
            kept = columns >= 0
            values.append(documents.data[bounds[0] : bounds[-1]][kept].astype(np.float32))
            indices.append(columns[kept])
            kept_before = np.concatenate([[0], np.cumsum(kept)])
            lengths.append(np.diff(kept_before[bounds - bounds[0]]))
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(documents.indices.dtype)
        shape = (documents.shape[0], self.n_words)
        rows = csr_array((np.concatenate(values), np.concatenate(indices), indptr), shape=shape)
        return normalize(rows, copy=False)  # type: ignore[no-any-return]

    def state_dict(self) -> dict[str, Any]:
        """Return the chosen columns and the number of columns of the result."""
        return {"columns": self.columns, "n_words": self.n_words}
