"""Tests of TF-IDF against scikit-learn and against its formula."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from datamodules.tfidf import TfIdf
from lightning_dc.errors import InputError

TEXTS = ["oil oil oil prices rose", "the oil and the grain", "grain grain ships", "ships ships ships sail", "oil sail"]


@pytest.mark.parametrize("n_words", [2, 4, 6])
def test_equals_scikit_learns(n_words: int) -> None:
    reference = TfidfVectorizer(max_features=n_words, sublinear_tf=True, stop_words="english")
    expected = reference.fit_transform(TEXTS)
    ours = TfIdf.learn(TEXTS, n_words)
    np.testing.assert_allclose(ours(TEXTS).toarray(), expected.toarray(), rtol=1e-6)
    new = ["grain prices", "unknown words", ""]
    np.testing.assert_allclose(ours(new).toarray(), reference.transform(new).toarray(), rtol=1e-6)


def test_equals_the_formula() -> None:
    row = TfIdf.learn(TEXTS, 2)([TEXTS[0] + " ships"]).toarray()[0]
    ours = dict(zip(TfIdf.learn(TEXTS, 2).words, row, strict=True))
    counts, n_texts_with = {"oil": 3, "ships": 1}, {"oil": 3, "ships": 2}
    weights = {w: (1 + math.log(counts[w])) * (1 + math.log(6 / (1 + n_texts_with[w]))) for w in counts}
    length = math.hypot(*weights.values())
    assert ours == pytest.approx({w: weight / length for w, weight in weights.items()}, rel=1e-6)


def test_columns_beyond_the_vocabulary_are_zero() -> None:
    rows = TfIdf.learn(TEXTS, 50)(TEXTS)
    assert rows.shape == (5, 50)
    assert rows.dtype == np.float32
    assert not rows[:, 6:].nnz
    np.testing.assert_allclose(np.linalg.norm(rows.toarray(), axis=1), 1.0, rtol=1e-6)


def test_a_text_without_known_words_is_a_row_of_zeros() -> None:
    assert TfIdf.learn(TEXTS, 3)(["", "nothing known"]).nnz == 0


def test_the_state_survives_a_safe_checkpoint(tmp_path: Path) -> None:
    learned = TfIdf.learn(TEXTS, 5)
    torch.save(learned.state_dict(), tmp_path / "state.pt")
    other = TfIdf(**torch.load(tmp_path / "state.pt", weights_only=True))
    np.testing.assert_array_equal(other(TEXTS).toarray(), learned(TEXTS).toarray())


@pytest.mark.parametrize("texts", [["the and", "of"], ["", ""]])
def test_texts_without_words_are_refused(texts: list[str]) -> None:
    with pytest.raises(InputError, match="the 2 training texts hold no words but stop words"):
        TfIdf.learn(texts, 10)
