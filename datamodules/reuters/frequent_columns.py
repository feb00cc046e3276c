"""The most frequent columns of a sparse matrix of terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_CHUNK_ROWS = 1 << 14


class FrequentColumns:
    """Columns that occur in most documents, rows brought to length 1.

    For terms whose weights are made already. A document without a chosen term has a row of zeros.

    Args:
        columns: numbers of the chosen columns, ascending, int64.
        n_words: number of columns F of the result; those beyond the chosen ones are zero.
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
        """Choose the columns with the highest document frequency; of equal ones the first.

        Args:
            documents: training documents, (N, V), without stored zeros.
            n_words: columns to keep.

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
        """The chosen columns of documents, (N, V) to (N, F), float32 CSR, rows of length 1."""
        from scipy.sparse import csr_array
        from sklearn.preprocessing import normalize

        place = np.full(documents.shape[1], -1, documents.indices.dtype)
        place[self.columns.numpy()] = np.arange(len(self.columns))
        values, indices, lengths = [], [], []
        for start in range(0, documents.shape[0], _CHUNK_ROWS):  # what is computed on the way is as large as the corpus
            bounds = documents.indptr[start : start + _CHUNK_ROWS + 1]
            columns = place[documents.indices[bounds[0] : bounds[-1]]]
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
        """The chosen columns."""
        return {"columns": self.columns, "n_words": self.n_words}
