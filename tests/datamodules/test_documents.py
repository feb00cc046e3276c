"""Tests of texts that stand beside samples, read from files of several kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from datamodules import ArrayDataModule
from lightning_dc.errors import InputError

X = np.random.default_rng(0).normal(size=(4, 3)).astype("f4")
TEXTS = ["oil prices", "", "a line with \u2028 and \x0b in it", "grain, \u00fc"]


def documents(**arguments: Any) -> list[str]:
    data = ArrayDataModule(X, **arguments)
    data.setup("fit")
    assert data.documents is not None
    return list(data.documents.texts)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("has_last", [True, False])
def test_a_line_is_a_text(tmp_path: Path, end: str, has_last: bool) -> None:
    content = end.join(TEXTS) + (end if has_last else "")
    (tmp_path / "texts.txt").write_bytes(content.encode())
    assert documents(texts=tmp_path / "texts.txt") == TEXTS
    (tmp_path / "texts.txt").write_bytes(content.encode("utf-8-sig"))
    assert documents(texts=str(tmp_path / "texts.txt")) == TEXTS


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_of_a_table_holds_texts(tmp_path: Path, ending: str) -> None:
    frame, path = pd.DataFrame({"body": TEXTS, "other": range(4)}), tmp_path / f"texts.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    assert documents(texts=str(path), text_column="body") == TEXTS
    with pytest.raises(InputError, match=r"text_column='text' is no column of .*texts\..*, which has 'body', 'other'"):
        documents(texts=str(path))


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series])
def test_texts_in_memory_are_taken(kind: Any) -> None:
    assert documents(texts=kind(TEXTS)) == TEXTS


def test_texts_stand_beside_samples_of_every_form(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    for x, options in ((csr_array(X), {}), (str(tmp_path / "x.npy"), {"block_shuffle": True}), (X.tolist(), {})):
        data = ArrayDataModule(x, texts=TEXTS, **options)
        assert data.documents is not None
        with pytest.raises(InputError, match="texts holds 3 texts, but x has 4 samples"):
            ArrayDataModule(x, texts=TEXTS[1:], **options).setup("fit")


def test_without_texts_there_are_no_documents() -> None:
    assert ArrayDataModule(X).documents is None


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("nowhere.txt", r"texts='nowhere\.txt' is no file; give the path of one"),
        ("texts.docx", r"texts='texts\.docx' must end in \.txt, \.csv, \.tsv or \.parquet"),
        (["the", "of", "", "and"], "texts holds no words but stop words"),
        (["oil", "grain", 3, "corn"], "texts holds 3 for sample 2; give strings, '' for none"),
    ],
)
def test_bad_texts_are_refused_in_one_line(texts: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        documents(texts=texts)
    assert "\n" not in str(error.value)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_bytes("grün\n".encode("latin-1") * 4)
    with pytest.raises(InputError, match=r"texts\.txt: can't be read \(.*utf-8"):
        documents(texts=str(tmp_path / "texts.txt"))
