"""Terms of texts in scripts with and without spaces."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from datamodules import TextDataModule
from datamodules.terms import need_ngrams, terms
from datamodules.tfidf import TfIdf

TOPICS = {
    "chinese": ["石油价格上涨", "球队赢得比赛", "医生治疗病人"],
    "japanese": ["原油の価格が上がる", "チームが試合に勝つ", "医者が患者を治す"],
    "thai": ["ราคาน้ำมันสูงขึ้น", "ทีมชนะการแข่งขัน", "แพทย์รักษาผู้ป่วย"],
    "khmer": ["តម្លៃប្រេងឡើង", "ក្រុមឈ្នះការប្រកួត", "គ្រូពេទ្យព្យាបាល"],
    "lao": ["ລາຄານ້ຳມັນສູງຂຶ້ນ", "ທີມຊະນະການແຂ່ງຂັນ", "ແພດປິ່ນປົວຄົນເຈັບ"],
    "burmese": ["ရေနံဈေးနှုန်းတက်", "အသင်းအနိုင်ရ", "ဆရာဝန်ကုသ"],
}
FILLERS = "0123456789"


def corpus(language: str, n_texts: int = 60) -> list[str]:
    """Texts of which no two are the same, each with parts of the sentence of its topic and without a space."""
    random = np.random.default_rng(0)
    out = []
    for i in range(n_texts):
        sentence = TOPICS[language][i % 3]
        cut = int(random.integers(1, len(sentence) - 4))
        out.append(f"{sentence[cut:]}{sentence}{sentence[: int(random.integers(3, len(sentence)))]}")
    return out


@pytest.mark.parametrize("language", TOPICS)
def test_texts_without_spaces_have_terms_in_common_with_those_of_their_topic(tmp_path: Path, language: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "\n".join(corpus(language)))
    data = TextDataModule(str(path), n_words=200, scaling="none", val_fraction=0.5)
    data.setup("fit")
    x = data.predict_dataloader().read(0, 100).x
    assert x.norm(dim=1).min() > 0.99  # none is zero, held-out ones included
    similar = x @ x.T
    topic = torch.arange(60) % 3
    same = topic[:, None] == topic
    assert similar[same].min() > similar[~same].max()
    state = data.preprocessing_state()
    new = TextDataModule(str(path))
    new.load_preprocessing_state(state)
    torch.testing.assert_close(new.predict_dataloader().read(0, 100).x, x)


def test_terms_are_words_characters_pairs_and_triples() -> None:
    assert terms("The iPhone手机 of 石") == ["iphone", "手", "机", "手机", "石"]
    assert terms("カメラ・レンズ") == ["カ", "メ", "ラ", "カメ", "メラ", "レ", "ン", "ズ", "レン", "ンズ"]
    assert terms("น้ำมัน") == ["น้ำ", "้ำม", "ำมั", "มัน"]
    assert terms("ไป a 42 _x") == ["ไป", "42", "_x"]
    assert not terms("the of a")


@given(st.text(st.characters(codec="latin-1")))
def test_of_scripts_with_spaces_the_terms_are_those_of_scikit_learn(text: str) -> None:
    assert terms(text) == TfidfVectorizer(stop_words="english").build_analyzer()(text)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["oil prices", "prix du pétrole", "цена на нефть", "유가 상승", "سعر النفط", "तेल की कीमत"], False),
        (["oil"] * 99 + ["石油"], False),
        (["oil"] * 9 + ["石油"], True),
        ([], False),
    ],
)
def test_n_grams_are_for_scripts_without_spaces(texts: list[str], expected: bool) -> None:
    assert need_ngrams(texts) is expected


def test_a_vocabulary_of_an_earlier_checkpoint_holds_words() -> None:
    texts = ["石油 价格", "石油 上涨"]
    old = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit(texts)
    restored = TfIdf(words=old.get_feature_names_out().tolist(), idf=torch.from_numpy(old.idf_), n_words=3)
    np.testing.assert_allclose(restored(texts).toarray(), old.transform(texts).toarray(), rtol=1e-6)


def test_many_texts_without_words_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "\n".join(f"word{i}" for i in range(30)))
    with caplog.at_level(logging.INFO):
        TextDataModule(str(path), n_words=5).setup("fit")
    assert "t.csv: 25 of 30 texts have none of the words; their rows are zeros" in caplog.text
