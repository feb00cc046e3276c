"""Reader of Reuters Corpus Volume 1 (RCV1-v2), which scikit-learn downloads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from datamodules.reuters.news import News
from datamodules.reuters.rcv1_file import FILE_NAME, Corpus, from_scikit_learn, read_corpus, write_corpus
from lightning_dc.errors import InputError

ROOTS = ("CCAT", "ECAT", "GCAT", "MCAT")
"""The root categories: corporate and industrial, economics, government and social, markets."""

_N_FILES = 4  # of scikit-learn: samples, their numbers, their topics, and the names of the topics


def fetch(folder: Path | None) -> None:
    """Download the corpus with scikit-learn's ``fetch_rcv1`` if it is not there.

    Args:
        folder: folder of the corpus, in which it becomes ``RCV1/rcv1.npz``; None leaves it to scikit-learn's own cache.

    Raises:
        InputError: the corpus cannot be downloaded, or the folder holds pickles of scikit-learn.
    """
    from sklearn.datasets import fetch_rcv1

    cache = _cache(folder)
    if (cache / FILE_NAME).is_file() or _pickles(cache):
        if not _is_own(folder):
            _check_no_pickles(cache)
        return
    try:
        if _is_own(folder):
            fetch_rcv1(data_home=folder)
            return
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".") as scratch:
            write_corpus(from_scikit_learn(fetch_rcv1(data_home=scratch)), cache / FILE_NAME)
    except OSError as error:
        raise InputError(
            f"RCV1 could not be downloaded to {str(cache)!r} ({error}); call sklearn.datasets.fetch_rcv1 where there "
            "is a network, and then datamodules.reuters.rcv1.convert with the folder, and copy it"
        ) from error


def convert(folder: str) -> None:
    """Make ``RCV1/rcv1.npz`` of the pickles in a cache of scikit-learn, which may run code: use it for your own alone.

    Args:
        folder: scikit-learn's ``data_home``, in which ``RCV1`` lies.
    """
    from sklearn.datasets import fetch_rcv1

    corpus = from_scikit_learn(fetch_rcv1(data_home=folder, download_if_missing=False))
    write_corpus(corpus, _cache(Path(folder)) / FILE_NAME)


def read_rcv1(folder: Path | None, n_documents: int | None, seed: int) -> News:
    """Read the documents that have exactly one of the four root categories, 685,071 of 804,414.

    Documents are cosine-normalised log TF-IDF of 47,236 stems, made by Lewis et al. (2004,
    https://jmlr.org/papers/v5/lewis04a.html).

    Args:
        folder: folder in which ``RCV1/rcv1.npz`` lies; None takes scikit-learn's own cache.
        n_documents: size of a random subset; None takes all documents. The subset depends only on the numbers of the
            documents and on the seed, not on the order of the files, and keeps their order.
        seed: seed of the subset, for NumPy's ``RandomState``, whose random numbers never change.

    Raises:
        InputError: the files are missing or damaged, are pickles in a given folder, or hold fewer documents than that.
    """
    cache = _cache(folder)
    try:
        corpus = _read(folder)
        documents, topics, ids = corpus.documents, corpus.topics.tocsc(), corpus.ids
        columns = {name: column for column, name in enumerate(corpus.topic_names)}
    except InputError:
        raise
    except Exception as error:  # damaged files fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"RCV1 can't be read from {str(cache)!r} ({reason}); remove that folder and set data.download to true"
        ) from error
    missing = [name for name in ROOTS if name not in columns]
    n_rows = (documents.shape[0], topics.shape[0], len(ids))
    if missing or len(set(n_rows)) > 1:
        problem = f"no topic {missing[0]}" if missing else f"{n_rows} rows of documents, topics and numbers"
        raise InputError(f"RCV1 in {str(cache)!r} has {problem}; remove that folder and set data.download to true")
    roots = topics[:, [columns[name] for name in ROOTS]].toarray() != 0
    rows = np.flatnonzero(roots.sum(1) == 1)
    if n_documents is not None:
        if n_documents > len(rows):
            raise InputError(
                f"n_documents={n_documents} is more than the {len(rows)} documents with one root category in "
                f"{str(cache)!r}"
            )
        order = rows[np.argsort(ids[rows], kind="stable")]
        rows = np.sort(order[np.random.RandomState(seed).permutation(len(order))[:n_documents]])
    if len(rows) == 0:
        raise InputError(f"RCV1 in {str(cache)!r} has no document with exactly one of {', '.join(ROOTS)}")
    y = roots[rows].argmax(1).astype(np.int64)
    return News(documents[rows], y, ROOTS, ids[rows], np.zeros(len(rows), bool))


def _read(folder: Path | None) -> Corpus:
    """Read the corpus, and pickles in scikit-learn's own cache alone."""
    from sklearn.datasets import fetch_rcv1

    cache = _cache(folder)
    if not (cache / FILE_NAME).is_file():
        if _is_own(folder):
            return from_scikit_learn(fetch_rcv1(data_home=folder, download_if_missing=False))
        _check_no_pickles(cache)
    return read_corpus(cache / FILE_NAME)


def _cache(folder: Path | None) -> Path:
    from sklearn.datasets import get_data_home

    return Path(get_data_home() if folder is None else folder) / "RCV1"


def _is_own(folder: Path | None) -> bool:
    """Tell whether a folder is scikit-learn's own cache, in which it has written the pickles itself."""
    from sklearn.datasets import get_data_home

    return folder is None or folder.resolve() == Path(get_data_home()).resolve()


def _pickles(cache: Path) -> bool:
    return len(list(cache.glob("*.pkl"))) >= _N_FILES


def _check_no_pickles(cache: Path) -> None:
    """Check that a folder without a file of arrays does not hold pickles instead.

    Raises:
        InputError: it does.
    """
    if not (cache / FILE_NAME).is_file() and any(cache.glob("*.pkl")):
        raise InputError(
            f"RCV1 in {str(cache)!r} is stored as pickles, which run code when they are read; remove that folder and "
            'set data.download to true, or, if scikit-learn has made it for you, make arrays of it: python -c "from '
            f'datamodules.reuters import rcv1; rcv1.convert({str(cache.parent)!r})"'
        )
