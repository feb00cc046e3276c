"""Tests of Reuters-21578 with invented files, and with the real ones if they are there."""

from __future__ import annotations

import hashlib
import itertools
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from datamodules import ArrayDataModule, ReutersDataModule
from datamodules.reuters import reuters21578
from datamodules.reuters.sgml import read_sgml
from lightning_dc.errors import InputError
from tests.conftest import CommandLine
from tests.helpers.command_line import QUICK
from tests.helpers.fake_reuters import TOPICS, document, write_fake_reuters, write_sgml
from tests.helpers.server import Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_fake_reuters(tmp_path / "reuters21578")


def module(folder: Path, n_words: int = 60, **arguments: Any) -> ReutersDataModule:
    data = ReutersDataModule(str(folder), n_words=n_words, **arguments)
    data.setup("fit")
    return data


def texts(folder: Path) -> list[str]:
    return [f"{found.title}\n{found.body}" for found in read_sgml(folder)]


def reference(training: list[str], n_words: int = 60) -> Any:
    return TfidfVectorizer(max_features=n_words, sublinear_tf=True, stop_words="english").fit(training)


def test_features_are_scaled_tfidf(folder: Path) -> None:
    data = module(folder, n_topics="all")
    x = data.train_dataloader().read(0, 1000).x.numpy()
    expected = reference(texts(folder)).transform(texts(folder)).toarray()
    np.testing.assert_allclose(x, expected * 60**0.5, rtol=1e-5)
    assert np.square(x).sum(1).mean() / 60 == pytest.approx(1.0, rel=1e-5)
    assert data.input_shape == (60,)
    assert scipy.sparse.issparse(data.load().x)


def test_news_of_one_topic_with_a_body_are_kept(tmp_path: Path) -> None:
    news = [
        document(("earn",), "alpha"),
        document(("earn", "acq"), "beta"),
        document((), "gamma"),
        document(("acq",), None),
        document(("acq",), "delta"),
        document(("earn",), "epsilon", None),
    ]
    write_sgml(tmp_path / "news-000.sgm", news)
    data = module(tmp_path)
    assert data.topics == ["earn", "acq"]
    assert data.train_dataloader().read(0, 100).y.tolist() == [0, 1, 0]


@pytest.mark.parametrize(("n_topics", "n_kept"), [(1, 1), (3, 3), ("all", len(TOPICS)), (None, 10)])
def test_topics_are_numbered_by_their_frequency(folder: Path, n_topics: Any, n_kept: int) -> None:
    data = module(folder, n_topics=n_topics)
    counts = torch.bincount(data.train_dataloader().read(0, 1000).y).tolist()
    assert counts == sorted(counts, reverse=True)
    all_topics = [found.topics[0] for found in read_sgml(folder)]
    assert counts == sorted((all_topics.count(topic) for topic in TOPICS), reverse=True)[:n_kept]
    assert [all_topics.count(topic) for topic in data.topics] == counts


def test_labels_can_be_left_out(folder: Path) -> None:
    assert module(folder, labels=False).train_dataloader().read(0, 10).y is None


def test_words_are_learned_on_training_rows(folder: Path) -> None:
    data = module(folder, n_topics="all", val_fraction=0.5, scaling="none")
    rows = data.train_dataloader().source_rows.tolist()
    assert len(rows) == 120
    learned = reference([texts(folder)[i] for i in rows])
    expected = learned.transform(texts(folder)).toarray()
    np.testing.assert_allclose(data.predict_dataloader().read(0, 1000).x, expected, rtol=1e-5)
    assert data.preprocessing_state()["tfidf"]["words"] == learned.get_feature_names_out().tolist()


def test_the_split_is_modapte(folder: Path) -> None:
    data = module(folder, n_topics="all", split=True, scaling="none")
    found = read_sgml(folder)
    parts = {
        name: [text for d, text in zip(found, texts(folder), strict=True) if d.split == name]
        for name in ("train", "test")
    }
    learned = reference(parts["train"])
    for loader, name in ((data.train_dataloader(), "train"), (data.test_dataloader(), "test")):
        np.testing.assert_allclose(loader.read(0, 1000).x, learned.transform(parts[name]).toarray(), rtol=1e-5)
    assert len(parts["test"]) == 60


@pytest.mark.parametrize("split", [False, True])
def test_other_news_get_the_words_of_the_checkpoint(folder: Path, tmp_path: Path, split: bool) -> None:
    trained = module(folder, n_topics="all")
    trained.train_dataloader()
    torch.save(trained.preprocessing_state(), tmp_path / "state.pt")
    news = write_fake_reuters(tmp_path / "new", n_documents=30)
    other = module(news, n_topics="all", split=split)
    other.predict_dataloader()  # has learned words of its own by now
    other.load_preprocessing_state(torch.load(tmp_path / "state.pt", weights_only=True))
    ours = other.predict_dataloader().read(0, 100).x.numpy()
    found = sorted(read_sgml(news), key=lambda d: d.split != "train") if split else read_sgml(news)
    expected = reference(texts(folder)).transform([f"{d.title}\n{d.body}" for d in found]).toarray() * 60**0.5
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    assert other.preprocessing_state()["tfidf"]["words"] == trained.preprocessing_state()["tfidf"]["words"]


def test_other_preprocessing_is_refused(folder: Path) -> None:
    trained = module(folder)
    trained.train_dataloader()
    with pytest.raises(InputError, match="n_words=60, but here it is 50; give the same"):
        module(folder, n_words=50).load_preprocessing_state(trained.preprocessing_state())
    arrays = ArrayDataModule(np.random.default_rng(0).normal(size=(9, 60)))
    arrays.train_dataloader()
    with pytest.raises(InputError, match="not by tfidf"):
        module(folder).load_preprocessing_state(arrays.preprocessing_state())


@pytest.mark.parametrize("arguments", [{"n_topics": 0}, {"n_words": 0}])
def test_bad_arguments_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(arguments))}=0 must be at least 1"):
        ReutersDataModule(**arguments)


def test_a_folder_without_news_is_refused(tmp_path: Path) -> None:
    write_sgml(tmp_path / "news-000.sgm", [document(body=None)])
    with pytest.raises(InputError, match="has no news of one topic with a body"):
        module(tmp_path)
    write_sgml(tmp_path / "news-000.sgm", [document()])
    with pytest.raises(InputError, match="has no news of one topic with a body"):
        module(tmp_path, split=True)


def test_a_run_resumes_and_predicts_with_its_words(lightning_dc_cli: CommandLine, folder: Path, tmp_path: Path) -> None:
    flags = [flag for flag in QUICK if "layerwise" not in flag]
    data = ("--data.folder", folder, "--data.n_words=60", "--data.val_fraction=0.3", "--model.refresh.tolerance=0")
    lightning_dc_cli("fit", "--config", "dec_reuters", *flags, *data, "--trainer.max_steps=8")
    checkpoint = tmp_path / "runs/dec_reuters/version_0/checkpoints/last.ckpt"
    words = torch.load(checkpoint, weights_only=True)["lightning_dc"]["preprocessing"]["tfidf"]["words"]
    assert len(words) == 60
    few = write_fake_reuters(tmp_path / "few", n_documents=12)
    predict = ("predict", "--data=ReutersDataModule", "--data.folder", few, "--data.n_words=60", "--data.n_topics=all")
    lightning_dc_cli(*predict, "--ckpt_path", checkpoint, "--output.path=new.npz")
    assert np.load("new.npz")["q"].shape == (12, 10)
    resume = ("--trainer.max_steps=-1", "--ckpt_path", checkpoint, "--seed_everything=5")  # whose split has other words
    lightning_dc_cli("fit", "--config", "dec_reuters", *flags, *data, *resume)
    resumed = tmp_path / "runs/dec_reuters/version_1/checkpoints/last.ckpt"
    assert torch.load(resumed, weights_only=True)["lightning_dc"]["preprocessing"]["tfidf"]["words"] == words


@pytest.mark.real_data
def test_the_real_corpus_is_whole(data_folder: Path) -> None:
    folder = data_folder / "reuters21578"
    if not folder.is_dir():
        pytest.skip(f"{data_folder} holds no folder reuters21578")
    documents = read_sgml(folder)
    assert len(documents) == 21_578
    splits = [found.split for found in documents]
    assert (splits.count("train"), splits.count("test")) == (9_603, 3_299)  # as the corpus' README says
    data = ReutersDataModule(str(folder))
    x, y = data.load()[:2]
    assert x.shape == (7_522, 2_000)
    assert data.topics[:2] == ["earn", "acq"]
    np.testing.assert_array_equal(np.bincount(y)[:4], [3735, 2125, 355, 333])
    assert x.nnz / 7_522 / 2_000 < 0.03


@pytest.fixture
def server(folder: Path, loopback: Callable[[Path], Server], monkeypatch: pytest.MonkeyPatch) -> Server:
    """Start a server of an archive of the invented news."""
    archive = folder / reuters21578.ARCHIVE
    with tarfile.open(archive, "w:gz") as file:
        for path in folder.glob("*.sgm"):
            file.add(path, path.name)
    monkeypatch.setattr(reuters21578, "CHECKSUM", "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest())
    return loopback(folder)


def test_the_archive_is_downloaded_once(
    folder: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reuters21578, "MIRRORS", [server.mirror("broken/"), server.mirror("good/")])
    target = tmp_path / "new"
    for _ in range(2):
        data = ReutersDataModule(str(target), n_words=60)
        data.prepare_data()
        data.setup("fit")
    assert server.requests[-1] == f"/good/{reuters21578.ARCHIVE}"
    assert server.requests.count(server.requests[-1]) == 1
    np.testing.assert_array_equal(data.load().x.toarray(), module(folder).load().x.toarray())


@pytest.mark.parametrize("mirror", ["cut/", "changed/"])
def test_a_download_that_is_not_whole_leaves_no_file(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, mirror: str
) -> None:
    monkeypatch.setattr(reuters21578, "MIRRORS", [server.mirror(mirror)])
    target = tmp_path / "new"
    with pytest.raises(InputError, match="could not be downloaded"):
        ReutersDataModule(str(target)).prepare_data()
    assert not list(target.iterdir())


def test_nothing_is_downloaded_unasked(tmp_path: Path) -> None:
    data = ReutersDataModule(str(tmp_path / "new"), download=False)
    data.prepare_data()
    with pytest.raises(InputError, match="is neither a folder nor a tar"):
        data.setup("fit")


def test_the_checkpoint_of_news_is_refused_by_plain_arrays(folder: Path) -> None:
    trained = module(folder)
    trained.train_dataloader()
    arrays = ArrayDataModule(np.random.default_rng(0).normal(size=(9, 60)))
    with pytest.raises(InputError, match="samples were made with tfidf, which ArrayDataModule does not do"):
        arrays.load_preprocessing_state(trained.preprocessing_state())


def test_features_and_news_have_names(folder: Path) -> None:
    data = ReutersDataModule(str(folder), n_words=1000, n_topics="all")
    expected = reference(texts(folder), 1000).get_feature_names_out().tolist()
    assert data.feature_names == expected + [f"(unused {i})" for i in range(1000 - len(expected))]
    data.setup("fit")
    assert data.train_dataloader().ids is None  # NEWID is 1 for all invented news
    numbers = itertools.count()
    for path in sorted(folder.glob("*.sgm")):
        text = path.read_text("latin-1")
        path.write_text(re.sub('NEWID="1"', lambda _: f'NEWID="{2 * next(numbers)}"', text), "latin-1")
    renumbered = module(folder, n_topics="all").train_dataloader()
    assert renumbered.ids.tolist() == list(range(0, 480, 2))
