"""Reader of the news of Reuters-21578 that have one topic."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from datamodules.download import download
from datamodules.reuters.news import News
from datamodules.reuters.sgml import read_sgml
from lightning_dc.errors import InputError

MIRRORS = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/reuters21578-mld/",
    "https://kdd.ics.uci.edu/databases/reuters21578/",
)
ARCHIVE = "reuters21578.tar.gz"
# Checksum of the archive at UCI, as in scikit-learn's out-of-core example.
CHECKSUM = "sha256:3bae43c9b14e387f76a61b6d82bf98a4fb5d3ef99ef7e7075ff2ccbcf59f9d30"


def fetch(folder: Path) -> None:
    """Download the archive to a folder, unless it has ``.sgm`` files or an archive already.

    Raises:
        InputError: the archive cannot be downloaded.
    """
    if folder.is_file() or any(folder.glob("*.sgm")) or any(folder.glob("*.tar.gz")):
        return
    download(ARCHIVE, folder, CHECKSUM, MIRRORS)


def read_reuters21578(folder: Path, n_topics: int | None, *, split: bool) -> News:
    """Read the news that have a body and exactly one topic.

    Args:
        folder: see :func:`~datamodules.reuters.sgml.read_sgml`.
        n_topics: number of the most frequent topics whose news are kept; None keeps the news of all topics.
        split: keep only the training and test set of the ModApte split, and count topics in the training set.

    Raises:
        InputError: files are missing or damaged, or hold no such news.
    """
    found = [document for document in read_sgml(folder) if len(document.topics) == 1 and document.body]
    if split:
        found = [document for document in found if document.split != "unused"]
    counts = Counter(document.topics[0] for document in found if not split or document.split == "train")
    topics = sorted(counts, key=lambda topic: (-counts[topic], topic))[:n_topics]
    if not topics:
        raise InputError(f"folder={str(folder)!r} has no news of one topic with a body; check the files")
    number = {topic: i for i, topic in enumerate(topics)}
    found = [document for document in found if document.topics[0] in number]
    ids = np.array([document.number for document in found], np.int64)
    return News(
        np.array([f"{document.title}\n{document.body}" for document in found], object),
        np.array([number[document.topics[0]] for document in found], np.int64),
        topics,
        ids if len(np.unique(ids)) == len(ids) else None,
        np.array([split and document.split == "test" for document in found], bool),
    )
