"""A corpus of news, before features are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class News(NamedTuple):
    """News and their classes.

    Attributes:
        documents: what features are made of: texts, (N,), objects, or TF-IDF of all stems of the corpus, (N, V), CSR.
        y: class of each, (N,), int64.
        topics: name of each class.
        ids: the corpus' own number of each document, (N,), int64; None where two have the same.
        is_test: it belongs to the test set, (N,), bool.
    """

    documents: Any
    y: NDArray[np.int64]
    topics: Sequence[str]
    ids: NDArray[np.int64] | None
    is_test: NDArray[np.bool_]

    def subset(self, rows: NDArray[Any]) -> News:
        """Those of some rows: numbers or flags."""
        ids = None if self.ids is None else self.ids[rows]
        return News(self.documents[rows], self.y[rows], self.topics, ids, self.is_test[rows])
