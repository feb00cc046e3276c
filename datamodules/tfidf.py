"""TF-IDF of the most frequent words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from datamodules.terms import need_ngrams, terms
from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class TfIdf:
    """Sublinear TF-IDF of scikit-learn: (1 + ln tf) idf, where idf = 1 + ln((1 + N) / (1 + df)), in rows of length 1.

    English stop words are left out. Texts in scripts without spaces between words have n-grams of characters instead of
    words (:func:`~datamodules.terms.terms`). A text without a word of the vocabulary has a row of zeros.

    Args:
        words: the vocabulary, in the order of the columns.
        idf: inverse document frequency of each word, (len(words),), float64.
        n_words: number of columns F; columns beyond the vocabulary are zero.
        ngrams: take n-grams of the characters of scripts without spaces.
    """

    def __init__(self, words: Sequence[str], idf: Tensor, n_words: int, ngrams: bool = False) -> None:
        self.words = list(words)
        self.idf = idf
        self.n_words = n_words
        self.ngrams = ngrams

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
        ngrams = need_ngrams(texts)
        vectorizer = _vectorizer(ngrams, max_features=n_words)
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise InputError(f"the {len(texts)} training texts hold no words but stop words; check them") from error
        words = vectorizer.get_feature_names_out().tolist()
        return cls(words, torch.from_numpy(vectorizer.idf_).double(), n_words, ngrams)

    def __call__(self, texts: Sequence[str]) -> csr_matrix[Any]:
        """Return the TF-IDF of texts, (N, F), float32 CSR."""
        import numpy as np

        vectorizer = _vectorizer(self.ngrams, vocabulary=self.words)
        vectorizer.idf_ = self.idf.numpy()
        rows = vectorizer.transform(texts).astype(np.float32)
        rows.resize(rows.shape[0], self.n_words)
        return rows  # type: ignore[no-any-return]

    def state_dict(self) -> dict[str, Any]:
        """Return vocabulary, idf, number of columns, and whether there are n-grams."""
        return {"words": self.words, "idf": self.idf, "n_words": self.n_words, "ngrams": self.ngrams}


def _vectorizer(ngrams: bool, **arguments: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    if ngrams:
        return TfidfVectorizer(sublinear_tf=True, analyzer=terms, **arguments)
    return TfidfVectorizer(sublinear_tf=True, stop_words="english", **arguments)
