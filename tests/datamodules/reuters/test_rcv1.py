"""Tests of RCV1 from a file of arrays or scikit-learn's cache against the same steps with dense arrays."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from datamodules import ArrayDataModule, ReutersDataModule
from datamodules.reuters.rcv1 import convert
from lightning_dc.errors import InputError
from tests.conftest import CommandLine
from tests.helpers.command_line import QUICK
from tests.helpers.fake_rcv1 import NAMES, ROOTS, FakeRCV1, write_arrays, write_fake_rcv1, write_pickles
from tests.helpers.fake_reuters import write_fake_reuters

N_WORDS = 30


@pytest.fixture
def rcv1(tmp_path: Path) -> FakeRCV1:
    return write_fake_rcv1(tmp_path / "scikit_learn_data")


def module(rcv1: FakeRCV1, n_words: int = N_WORDS, **arguments: Any) -> ReutersDataModule:
    data = ReutersDataModule(str(rcv1.folder), corpus="rcv1", n_words=n_words, **arguments)
    data.prepare_data()
    data.setup("fit")
    return data


def ids(data: ReutersDataModule) -> list[int]:
    return data.predict_dataloader().ids.tolist()


def of_one_root(rcv1: FakeRCV1) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with exactly one root category, and these categories."""
    roots = rcv1.topics[:, [NAMES.index(name) for name in ROOTS]]
    rows = np.array([i for i, row in enumerate(roots) if row.sum() == 1])
    return rows, roots[rows].argmax(1)


def frequent(x: np.ndarray, n_words: int) -> list[int]:
    counts = (x != 0).sum(0).tolist()
    return sorted(sorted(range(len(counts)), key=lambda column: (-counts[column], column))[:n_words])


def unit_rows(x: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1.0)


@pytest.mark.parametrize("chunk_rows", [7, 1 << 14])
def test_samples_are_the_frequent_terms_of_the_documents_of_one_root(
    rcv1: FakeRCV1, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr("datamodules.reuters.frequent_columns._CHUNK_ROWS", chunk_rows)
    data = module(rcv1)
    batch = data.train_dataloader().read(0, 1000)
    rows, y = of_one_root(rcv1)
    assert 200 < len(rows) < 290
    np.testing.assert_array_equal(batch.y, y)
    expected = unit_rows(rcv1.x[rows][:, frequent(rcv1.x[rows], N_WORDS)])
    scale = (np.square(expected).sum(1).mean() / N_WORDS) ** -0.5  # a document of none of the terms is a row of zeros
    np.testing.assert_allclose(batch.x, expected * scale, rtol=1e-5, atol=1e-7)
    assert data.topics == list(ROOTS)
    assert ids(data) == rcv1.ids[rows].tolist()
    assert data.input_shape == (N_WORDS,)


def test_terms_are_chosen_on_training_rows(rcv1: FakeRCV1) -> None:
    data = module(rcv1, val_fraction=0.6)
    rows, _ = of_one_root(rcv1)
    own = rows[data.train_dataloader().source_rows.numpy()]
    columns = data.preprocessing_state()["columns"]["columns"].tolist()
    assert columns == frequent(rcv1.x[own], N_WORDS)
    assert columns != frequent(rcv1.x[rows], N_WORDS)
    assert data.feature_names == [f"term {column}" for column in columns]


def test_more_words_than_the_corpus_has_are_columns_of_zeros(rcv1: FakeRCV1) -> None:
    data = module(rcv1, n_words=100, scaling="none")
    x = data.train_dataloader().read(0, 1000).x.numpy()
    rows, _ = of_one_root(rcv1)
    used = np.flatnonzero((rcv1.x[rows] != 0).any(0))
    np.testing.assert_allclose(x[:, : len(used)], rcv1.x[rows][:, used], rtol=1e-5, atol=1e-7)
    assert not x[:, len(used) :].any()
    assert data.feature_names[len(used) :] == [f"(unused {i})" for i in range(100 - len(used))]


def test_a_subset_is_always_the_same(rcv1: FakeRCV1, tmp_path: Path) -> None:
    torch.manual_seed(1)
    data = module(rcv1, n_documents=7)
    torch.manual_seed(2)
    assert ids(data) == ids(module(rcv1, n_documents=7, val_fraction=0.2))
    rows, _ = of_one_root(rcv1)
    # the first seven of RandomState(0)'s permutation of the ascending numbers, in the order of the corpus
    drawn = np.random.RandomState(0).permutation(np.sort(rcv1.ids[rows]))[:7]
    assert ids(data) == [i for i in rcv1.ids[rows].tolist() if i in drawn]
    assert np.random.RandomState(0).permutation(10).tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]
    order = np.random.default_rng(1).permutation(len(rcv1.ids))  # the same documents in another order
    write_arrays(rcv1._replace(x=rcv1.x[order], topics=rcv1.topics[order], ids=rcv1.ids[order]))
    assert sorted(ids(module(rcv1, n_documents=7))) == sorted(ids(data))


def test_a_subset_of_more_than_there_are_is_refused(rcv1: FakeRCV1) -> None:
    with pytest.raises(InputError, match=r"n_documents=5000 is more than the \d+ documents with one root"):
        module(rcv1, n_documents=5000)


@pytest.mark.parametrize("n_bytes", [0, 40, 5_000, -40])
def test_a_damaged_file_is_refused(rcv1: FakeRCV1, n_bytes: int) -> None:
    path = rcv1.folder / "RCV1" / "rcv1.npz"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=r"RCV1 can't be read from '.*RCV1' \(.*; remove that folder"):
        module(rcv1)


@pytest.mark.parametrize("name", ["documents_indices", "topics_indptr", "ids", "topic_names"])
def test_a_file_of_broken_arrays_is_refused(rcv1: FakeRCV1, name: str) -> None:
    path = rcv1.folder / "RCV1" / "rcv1.npz"
    arrays = dict(np.load(path))
    for broken in (None, np.array([{"a": 1}], object), arrays[name][:0] if name != "ids" else np.array(["x"])):
        np.savez(path, **{key: value for key, value in {**arrays, name: broken}.items() if value is not None})
        with pytest.raises(InputError, match=r"RCV1 (can't be read from|in) '.*RCV1'"):
            module(rcv1)


def test_files_that_do_not_fit_are_refused(rcv1: FakeRCV1, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(rcv1._replace(ids=rcv1.ids[:-1]))
    with pytest.raises(InputError, match="300, 300, 299"):
        module(rcv1)
    monkeypatch.setattr("tests.helpers.fake_rcv1.NAMES", [name.replace("GCAT", "G") for name in NAMES])
    write_arrays(rcv1)
    with pytest.raises(InputError, match="no topic GCAT"):
        module(rcv1)


class Evil:
    """An object that runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return self.mark.touch, ()


@pytest.mark.parametrize("download", [True, False])
def test_pickles_in_a_given_folder_are_not_read(rcv1: FakeRCV1, tmp_path: Path, download: bool) -> None:
    write_pickles(rcv1)
    for path in (rcv1.folder / "RCV1").iterdir():
        joblib.dump(Evil(tmp_path / "ran"), path)
    with pytest.raises(InputError, match=r"RCV1 in '.*RCV1' is stored as pickles, which run code .*rcv1\.convert\('"):
        module(rcv1, download=download)
    (rcv1.folder / "RCV1" / "samples_py3.pkl").unlink()
    with pytest.raises(InputError, match="is stored as pickles"):
        module(rcv1, download=False)
    assert not (tmp_path / "ran").exists()
    write_arrays(rcv1)
    assert len(ids(module(rcv1, download=download))) > 200  # beside arrays, pickles do no harm
    assert not (tmp_path / "ran").exists()


def test_pickles_of_the_user_become_arrays(rcv1: FakeRCV1) -> None:
    expected = module(rcv1).predict_dataloader().read(0, 1000).x
    write_pickles(rcv1)
    convert(str(rcv1.folder))
    assert (rcv1.folder / "RCV1" / "rcv1.npz").is_file()
    assert torch.equal(module(rcv1).predict_dataloader().read(0, 1000).x, expected)
    assert not [path for path in (rcv1.folder / "RCV1").iterdir() if path.name.startswith(".")]


def test_scikit_learns_own_cache_is_read(rcv1: FakeRCV1, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ids(module(rcv1))
    write_pickles(rcv1)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(rcv1.folder))
    for folder in (None, str(rcv1.folder)):
        data = ReutersDataModule(folder, corpus="rcv1", n_words=N_WORDS)
        data.prepare_data()
        data.setup("fit")
        assert ids(data) == expected


def test_a_download_to_a_given_folder_leaves_arrays_alone(
    rcv1: FakeRCV1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(data_home: str) -> Any:
        (Path(data_home) / "samples_py3.pkl").touch()
        return SimpleNamespace(
            data=csr_matrix(rcv1.x), target=csr_matrix(rcv1.topics), sample_id=rcv1.ids, target_names=np.array(NAMES)
        )

    monkeypatch.setattr("sklearn.datasets.fetch_rcv1", fetch)
    data = module(rcv1._replace(folder=tmp_path / "new"))
    assert ids(data) == ids(module(rcv1))
    assert [path.name for path in (tmp_path / "new" / "RCV1").iterdir()] == ["rcv1.npz"]


def test_a_missing_corpus_is_downloaded_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.warns(UserWarning, match="Retry"), pytest.raises(InputError, match=r"RCV1 could not be downloaded to"):
        ReutersDataModule(str(tmp_path), corpus="rcv1").prepare_data()
    data = ReutersDataModule(str(tmp_path), corpus="rcv1", download=False)
    data.prepare_data()
    with pytest.raises(InputError, match="RCV1 can't be read from"):
        data.setup("fit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corpus": "rcv2"}, "corpus='rcv2' is unknown; choose from reuters21578, rcv1"),
        ({"corpus": "rcv1", "n_topics": 10}, "n_topics=10 chooses news of corpus='reuters21578'"),
        ({"corpus": "rcv1", "n_topics": "all"}, "n_topics='all' chooses news of corpus='reuters21578'"),
        ({"n_topics": "many"}, "n_topics='many' must be at least 1, or 'all'"),
        ({"corpus": "rcv1", "split": True}, "split=True is the ModApte split"),
        ({"n_documents": 10}, "n_documents=10 is a subset of corpus='rcv1'"),
        ({"corpus": "rcv1", "n_documents": 0}, "n_documents=0 must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReutersDataModule(**arguments)


def test_the_checkpoint_of_another_corpus_is_refused(rcv1: FakeRCV1, tmp_path: Path) -> None:
    trained = module(rcv1)
    trained.train_dataloader()
    news = ReutersDataModule(str(write_fake_reuters(tmp_path / "news")), n_words=N_WORDS)
    with pytest.raises(
        InputError, match=r"samples were prepared by \['columns'\] alone, not by tfidf, as ReutersDataModule does"
    ):
        news.load_preprocessing_state(trained.preprocessing_state())
    arrays = ArrayDataModule(np.random.default_rng(0).normal(size=(9, N_WORDS)))
    with pytest.raises(InputError, match="samples were made with columns, which ArrayDataModule does not do"):
        arrays.load_preprocessing_state(trained.preprocessing_state())


def test_a_run_predicts_with_the_columns_of_its_checkpoint(
    lightning_dc_cli: CommandLine, rcv1: FakeRCV1, tmp_path: Path
) -> None:
    flags = [flag for flag in QUICK if "layerwise" not in flag]
    data = ("--data.folder", rcv1.folder, "--data.corpus=rcv1", f"--data.n_words={N_WORDS}")
    printed = lightning_dc_cli(
        "fit", "--config", "dec_reuters", *flags, *data, "--data.n_documents=80", "--model.n_clusters=4"
    )
    assert "ACC" in printed
    checkpoint = tmp_path / "runs/dec_reuters/version_0/checkpoints/last.ckpt"
    state = torch.load(checkpoint, weights_only=True)["lightning_dc"]["preprocessing"]
    assert len(state["columns"]["columns"]) == N_WORDS
    predict = ("predict", "--data=ReutersDataModule", *data, "--ckpt_path", checkpoint, "--output.path=all.npz")
    lightning_dc_cli(*predict)
    assert np.load("all.npz")["q"].shape == (len(of_one_root(rcv1)[0]), 4)
    np.save("wide.npy", rcv1.x[:, :N_WORDS])
    plain = ("predict", "--data=ArrayDataModule", "--data.x=wide.npy", "--ckpt_path", checkpoint)
    assert "samples were made with columns" in lightning_dc_cli.fails(*plain)
