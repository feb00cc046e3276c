"""Reader of Reuters Corpus Volume 1 (RCV1-v2) as scikit-learn stores it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from datamodules.reuters.news import News
from lightning_dc.errors import InputError

ROOTS = ("CCAT", "ECAT", "GCAT", "MCAT")
"""The root categories: corporate and industrial, economics, government and social, markets."""

_N_FILES = 4  # samples, their numbers, their topics, and the names of the topics


def fetch(folder: Path | None) -> None:
    """Download the corpus with scikit-learn's ``fetch_rcv1`` if its cache lacks it.

    Args:
        folder: scikit-learn's ``data_home``; None is its default.

    Raises:
        InputError: the corpus cannot be downloaded.
    """
    from sklearn.datasets import fetch_rcv1, get_data_home

    cache = Path(get_data_home(folder)) / "RCV1"
    if len(list(cache.glob("*.pkl"))) >= _N_FILES:
        return
    try:
        fetch_rcv1(data_home=folder)
    except OSError as error:
        raise InputError(
            f"RCV1 could not be downloaded to {str(cache)!r} ({error}); call sklearn.datasets.fetch_rcv1 where there "
            "is a network, and copy that folder"
        ) from error


def read_rcv1(folder: Path | None, n_documents: int | None, seed: int) -> News:
    """Read the documents that have exactly one of the four root categories, 685,071 of 804,414.

    Documents are cosine-normalised log TF-IDF of 47,236 stems, made by Lewis et al. (2004,
    https://jmlr.org/papers/v5/lewis04a.html).

    Args:
        folder: scikit-learn's ``data_home``; None is its default.
        n_documents: size of a random subset; None takes all documents. The subset depends only on the numbers of the
            documents and on the seed, not on the order of the files, and keeps their order.
        seed: seed of the subset, for NumPy's ``RandomState``, whose random numbers never change.

    Raises:
        InputError: scikit-learn's files are missing or damaged, or hold fewer documents than that.
    """
    from scipy.sparse import csr_array
    from sklearn.datasets import fetch_rcv1, get_data_home

    cache = Path(get_data_home(folder)) / "RCV1"
    try:
        corpus: Any = fetch_rcv1(data_home=folder, download_if_missing=False)
        documents, topics = csr_array(corpus.data), corpus.target.tocsc()
        ids = np.asarray(corpus.sample_id, np.int64)
        columns = {name: column for column, name in enumerate(corpus.target_names)}
    except Exception as error:  # damaged pickles fail in many ways
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
