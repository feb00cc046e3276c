"""Tests of texts from folders and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from datamodules import TextDataModule
from lightning_dc.errors import InputError
from tests.helpers.damage import damaged, read_or_refuse
from tests.helpers.fake_files import texts, write_fake_texts, write_table

ALL = 1 << 30
ROWS = [{"id": 100 + i, "story": text, "topic": "xyz"[i % 3]} for i, text in enumerate(texts())]


def module(path: Path, **arguments: Any) -> TextDataModule:
    data = TextDataModule(str(path), **{"n_words": 50, "scaling": "none", **arguments})
    data.setup("fit")
    return data


def reference(training: list[str]) -> TfidfVectorizer:
    return TfidfVectorizer(max_features=50, sublinear_tf=True, stop_words="english").fit(training)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_column_becomes_tfidf(tmp_path: Path, ending: str) -> None:
    data = module(write_table(tmp_path / f"t.{ending}", ROWS), text_column="story", label="topic", id_column="id")
    loader = data.predict_dataloader()
    batch = loader.read(0, ALL)
    np.testing.assert_allclose(batch.x, reference(texts()).transform(texts()).toarray(), rtol=1e-5)
    np.testing.assert_array_equal(batch.y, np.arange(60) % 3)
    assert loader.ids is not None
    assert loader.ids.tolist() == list(range(100, 160))
    assert data.feature_names[:2] == reference(texts()).get_feature_names_out()[:2].tolist()


@pytest.mark.parametrize("flat", [False, True])
def test_a_folder_is_flat_or_has_a_folder_for_each_class(tmp_path: Path, flat: bool) -> None:
    folder = write_fake_texts(tmp_path / "texts", flat=flat)
    (folder / ".hidden.txt").write_text("left out")
    (folder / "readme.md").write_text("left out")
    loader = module(folder).predict_dataloader()
    batch = loader.read(0, ALL)
    order = list(range(60)) if flat else sorted(range(60), key=lambda i: (i % 3, i))
    expected = reference(texts()).transform([texts()[i] for i in order]).toarray()
    np.testing.assert_allclose(batch.x, expected, rtol=1e-5)
    assert loader.ids is not None
    if flat:
        assert batch.y is None
        assert loader.ids[7] == "007.txt"
    else:
        np.testing.assert_array_equal(batch.y, np.repeat(range(3), 20))
        assert loader.ids[20] == "topic1/001.txt"


def test_words_are_learned_on_training_rows_and_travel(tmp_path: Path) -> None:
    trained = module(write_fake_texts(tmp_path / "texts", flat=True), val_fraction=0.5)
    rows = trained.train_dataloader().source_rows.tolist()
    vectorizer = reference([texts()[i] for i in rows])
    new = TextDataModule(str(write_fake_texts(tmp_path / "new", 12, flat=True, seed=1)))  # with 2,000 words
    new.load_preprocessing_state(trained.preprocessing_state())
    assert new.input_shape == (50,)
    x = new.predict_dataloader().read(0, ALL).x
    np.testing.assert_allclose(x, vectorizer.transform(texts(12, seed=1)).toarray(), rtol=1e-5)


def test_new_texts_need_no_labels(tmp_path: Path) -> None:
    trained = module(write_table(tmp_path / "t.csv", ROWS), text_column="story", label="topic")
    trained.train_dataloader()
    new = TextDataModule(str(write_table(tmp_path / "new.csv", ROWS[:4], ["story"])), "story", label="topic")
    new.load_preprocessing_state(trained.preprocessing_state())
    assert new.predict_dataloader().read(0, ALL).y is None


def test_a_text_without_a_known_word_has_zeros(tmp_path: Path) -> None:
    data = module(write_table(tmp_path / "t.csv", [*ROWS, {"story": "the of and"}], ["story"]), text_column="story")
    x = data.predict_dataloader().read(0, ALL).x
    assert not x[60].any()
    torch.testing.assert_close(x[:60].norm(dim=1), torch.ones(60))


@pytest.mark.parametrize("blank", ["", " \n "])
def test_an_empty_text_is_refused_or_has_zeros(tmp_path: Path, blank: str) -> None:
    folder = write_fake_texts(tmp_path / "texts")
    (folder / "topic1" / "001.txt").write_text(blank)
    with pytest.raises(InputError, match=r"texts: topic1/001\.txt holds no text; leave it out, or set empty to zeros"):
        module(folder)
    assert not module(folder, empty="zeros").predict_dataloader().read(20, 21).x.any()
    table = write_table(tmp_path / "t.csv", [ROWS[0], {**ROWS[1], "story": blank}, ROWS[2]])
    with pytest.raises(InputError, match=r"t\.csv: row 1 holds no text"):
        module(table, text_column="story")


def test_texts_of_stop_words_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.csv: the 2 training texts hold no words but stop words"):
        module(write_table(tmp_path / "t.csv", [{"text": "of the"}, {"text": "and"}]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_words": 0}, "n_words=0 must be at least 1"),
        ({"empty": "drop"}, "empty='drop' is unknown; choose from error, zeros"),
        ({"encoding": "utf-9"}, "encoding='utf-9' is unknown"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TextDataModule("texts", **arguments)


def test_folders_and_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: is no folder; give the path of one"):
        module(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nowhere\.csv: is no file"):
        module(tmp_path / "nowhere.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: holds no file that ends in \.txt"):
        module(tmp_path / "empty")
    folder = write_fake_texts(tmp_path / "texts")
    (folder / "beside.txt").write_text("a text")
    with pytest.raises(InputError, match=r"holds 'beside\.txt' beside folders with more of the kind"):
        module(folder)
    (folder / "beside.txt").unlink()
    (folder / "topic0" / "000.txt").write_bytes("naïve".encode("latin-1"))
    with pytest.raises(
        InputError, match=r"topic0/000\.txt: can't be read \(.*byte 0xef in position 2.*save it as utf-8"
    ):
        module(folder)
    assert module(folder, encoding="latin-1").input_shape == (50,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"text_column='text' is no column of .*t\.csv, which has 'id', 'story', 'topic'"),
        ({"text_column": "story", "label": "topics"}, "label='topics' is no column"),
        ({"text_column": "story", "id_column": "number"}, "id_column='number' is no column"),
        ({"text_column": "story", "id_column": "topic"}, "column 'topic' holds the id 'x' twice, in rows 0 and 3"),
    ],
)
def test_wrong_columns_are_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        module(write_table(tmp_path / "t.csv", ROWS), **arguments)


@given(st.data(), st.sampled_from(["csv", "parquet", "folder"]))
@settings(max_examples=100, deadline=None)
def test_a_damaged_file_ends_in_samples_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    path = tmp_path_factory.mktemp("texts")
    if kind == "folder":
        file = write_fake_texts(path, 4) / "topic1/001.txt"
    else:
        file = path = write_table(path / f"t.{kind}", ROWS[:4])
    file.write_bytes(damaged(data, file.read_bytes()))
    read_or_refuse(TextDataModule(str(path), "story"), path)
