"""TF-IDF of the most frequent words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class TfIdf:
    """Sublinear TF-IDF of scikit-learn: (1 + ln tf) idf, where idf = 1 + ln((1 + N) / (1 + df)), in rows of length 1.

    English stop words are left out. A text without a word of the vocabulary has a row of zeros.

    Args:
        words: the vocabulary, in the order of the columns.
        idf: inverse document frequency of each word, (len(words),), float64.
        n_words: number of columns F; columns beyond the vocabulary are zero.
    """

    def __init__(self, words: Sequence[str], idf: Tensor, n_words: int) -> None:
        self.words = list(words)
        self.idf = idf
        self.n_words = n_words

    @classmethod
    def learn(cls, texts: Sequence[str], n_words: int) -> TfIdf:
        """Learn the most frequent words of texts and their inverse document frequencies.

        Args:
            texts: training texts.
            n_words: number of words to keep.

        Raises:
            InputError: the texts hold no words except stop words.

        Example:
            >>> TfIdf.learn(["oil oil oil prices", "oil grain", "grain"], n_words=2).words
            ['grain', 'oil']
        """
        vectorizer = _vectorizer(max_features=n_words)
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise InputError(f"the {len(texts)} training texts hold no words but stop words; check them") from error
        return cls(vectorizer.get_feature_names_out().tolist(), torch.from_numpy(vectorizer.idf_).double(), n_words)

    def __call__(self, texts: Sequence[str]) -> csr_matrix[Any]:
        """Return the TF-IDF of texts, (N, F), float32 CSR."""
        import numpy as np

        vectorizer = _vectorizer(vocabulary=self.words)
        vectorizer.idf_ = self.idf.numpy()
        rows = vectorizer.transform(texts).astype(np.float32)
        rows.resize(rows.shape[0], self.n_words)
        return rows  # type: ignore[no-any-return]

    def state_dict(self) -> dict[str, Any]:
        """Return vocabulary, idf and number of columns."""
        return {"words": self.words, "idf": self.idf, "n_words": self.n_words}


def _vectorizer(**arguments: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(sublinear_tf=True, stop_words="english", **arguments)
