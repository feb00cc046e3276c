"""RCV1 as arrays and as the pickles of scikit-learn's cache: file names and types, with invented documents."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import scipy.sparse
from sklearn.preprocessing import normalize

NAMES = ("C11", "C15", "CCAT", "E11", "ECAT", "G15", "GCAT", "M11", "MCAT")
ROOTS = ("CCAT", "ECAT", "GCAT", "MCAT")


class FakeRCV1(NamedTuple):
    """Content of the files.

    Attributes:
        folder: folder in which ``RCV1`` lies, as scikit-learn's ``data_home``.
        x: documents, (N, 90), float64, rows of length 1.
        topics: topics of each document, (N, 9), 0 or 1.
        ids: number of each document, (N,).
    """

    folder: Path
    x: np.ndarray
    topics: np.ndarray
    ids: np.ndarray


def write_fake_rcv1(folder: Path, n_documents: int = 300) -> FakeRCV1:
    """Write documents, of which some have no root or two; each root has terms of its own."""
    random = np.random.default_rng(0)
    topics = (random.random((n_documents, len(NAMES))) < 0.3).astype(np.uint8)
    root = random.integers(0, 4, n_documents)
    plain = random.random(n_documents) < 0.7
    columns = [NAMES.index(name) for name in ROOTS]
    topics[np.ix_(plain, columns)] = np.eye(4, dtype=np.uint8)[root[plain]]
    x = random.random((n_documents, 90)) * (random.random((n_documents, 90)) < np.linspace(0.0, 0.3, 90))
    own = 40 + 10 * root[:, None] + np.arange(10) == np.arange(90)[:, None, None]
    x += own.any(2).T * random.random((n_documents, 90)) * (random.random((n_documents, 90)) < 0.4)
    x[3] = 0.0
    x = normalize(x)
    ids = random.permutation(10 * n_documents)[:n_documents].astype(np.uint32)
    fake = FakeRCV1(folder, x, topics, ids)
    write_arrays(fake)
    return fake


def write_arrays(fake: FakeRCV1) -> Path:
    """Write ``rcv1.npz``, and return its path."""
    arrays: dict[str, np.ndarray] = {"ids": fake.ids, "topic_names": np.array(NAMES)}
    for part, array in (("documents", fake.x), ("topics", fake.topics)):
        matrix = scipy.sparse.csr_matrix(array)
        arrays |= {
            f"{part}_{name}": np.asarray(getattr(matrix, name)) for name in ("data", "indices", "indptr", "shape")
        }
    path = fake.folder / "RCV1" / "rcv1.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)
    return path


def write_pickles(fake: FakeRCV1) -> None:
    """Write the files of scikit-learn's cache instead."""
    cache = fake.folder / "RCV1"
    (cache / "rcv1.npz").unlink(missing_ok=True)
    for name, content in (
        ("samples", scipy.sparse.csr_matrix(fake.x)),
        ("sample_id", fake.ids),
        ("sample_topics", scipy.sparse.csr_matrix(fake.topics)),
        ("topics_names", np.array(NAMES, dtype=object)),
    ):
        joblib.dump(content, cache / f"{name}_py3.pkl", compress=9)
