"""File of RCV1 that holds arrays alone, unlike the pickles of scikit-learn, which run code when they are read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.decompression import check_archive

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FILE_NAME = "rcv1.npz"
"""Name of the file."""


class Corpus(NamedTuple):
    """The documents of RCV1.

    Attributes:
        documents: log TF-IDF of the stems, (N, V), CSR.
        topics: topics of each document, (N, T), CSR; its values are not used.
        ids: number of each document, (N,), int64.
        topic_names: names of the topics, (T,).
    """

    documents: csr_array[Any]
    topics: csr_array[Any]
    ids: NDArray[np.int64]
    topic_names: list[str]


def from_scikit_learn(corpus: Any) -> Corpus:
    """Return the documents of what scikit-learn's ``fetch_rcv1`` returns."""
    from scipy.sparse import csr_array

    names = [str(name) for name in corpus.target_names]
    return Corpus(csr_array(corpus.data), csr_array(corpus.target), np.asarray(corpus.sample_id, np.int64), names)


def read_corpus(path: Path) -> Corpus:
    """Read a file that :func:`write_corpus` has written.

    Raises:
        InputError: the file is too large when it is decompressed.
        Exception: the file is missing or damaged.
    """
    check_archive(path)
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    names = [str(name) for name in arrays["topic_names"].tolist()]
    return Corpus(_matrix(arrays, "documents"), _matrix(arrays, "topics"), arrays["ids"].astype(np.int64), names)


def _matrix(arrays: dict[str, NDArray[Any]], part: str) -> csr_array[Any]:
    from scipy.sparse import csr_array

    values, indices, indptr, shape = (arrays[f"{part}_{name}"] for name in ("data", "indices", "indptr", "shape"))
    matrix: csr_array[Any] = csr_array((values, indices, indptr), shape=tuple(shape.tolist()))
    matrix.check_format(full_check=True)
    return matrix


def write_corpus(corpus: Corpus, path: Path) -> None:
    """Write documents to a file, which is whole as soon as it is there."""
    arrays: dict[str, NDArray[Any]] = {"ids": corpus.ids, "topic_names": np.array(corpus.topic_names, np.str_)}
    for part, matrix in (("documents", corpus.documents), ("topics", corpus.topics)):
        for name in ("data", "indices", "indptr", "shape"):
            arrays[f"{part}_{name}"] = np.asarray(getattr(matrix, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as scratch:
        written = Path(scratch) / path.name
        np.savez(written, allow_pickle=False, **arrays)
        os.replace(written, path)
