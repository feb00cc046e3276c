"""Corpus of news from which features have not been made yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class News(NamedTuple):
    """News and their classes.

    Attributes:
        documents: source of the features: texts, (N,), objects, or TF-IDF of all V stems of the corpus, (N, V), CSR.
        y: class of each document, (N,), int64.
        topics: name of each class.
        ids: number of each document in the corpus, (N,), int64; None if two documents have the same.
        is_test: whether each document belongs to the test set, (N,), bool.
    """

    documents: Any
    y: NDArray[np.int64]
    topics: Sequence[str]
    ids: NDArray[np.int64] | None
    is_test: NDArray[np.bool_]

    def subset(self, rows: NDArray[Any]) -> News:
        """Return the news of some rows, given by their numbers, (n,), or by flags, (N,)."""
        ids = None if self.ids is None else self.ids[rows]
        return News(self.documents[rows], self.y[rows], self.topics, ids, self.is_test[rows])
