"""Reuters-21578."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base import ClusteringDataModule, Samples
from datamodules.reuters_sgml import Document, read_sgml
from datamodules.scaling import ScalingName
from datamodules.tfidf import TfIdf
from lightning_dc.errors import InputError


class ReutersDataModule(ClusteringDataModule):
    """TF-IDF of the news of Reuters-21578 (Lewis 1997) that have a body and exactly one topic.

    http://www.daviddlewis.com/resources/testcollections/reuters21578/ has the files. Features are the most frequent
    words of title and body, without English stop words, as sublinear TF-IDF with rows of length 1, as DEC's Caffe code
    makes of the larger RCV1. Vocabulary and idf are learned on the training rows and kept in the checkpoint, which
    applies them to other news. Samples are sparse. Classes are topics, numbered from the most frequent one on.

    Args:
        folder: where the ``.sgm`` files lie, or their ``.tar.gz``; or the path of that archive.
        n_topics: keep the news of the most frequent topics, this many; None keeps all of them.
        n_words: number of features F. A corpus of fewer words has columns of zeros.
        split: train on the training set of the ModApte split and evaluate on its test set, without the news that are in
            neither. False pools all news.
        batch_size: news in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; ``rms`` multiplies rows of length 1 by sqrt(F).
        val_fraction: share of the training news that is held out for validation.
        labels: give the labels, for evaluation. Without them, topics still choose the news.

    Raises:
        InputError: an argument out of range, or files that are missing or damaged.
    """

    def __init__(
        self,
        folder: str = "data/reuters21578",
        n_topics: int | None = 10,
        n_words: int = 2000,
        split: bool = False,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        labels: bool = True,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction)
        if n_topics is not None and n_topics < 1:
            raise InputError(f"n_topics={n_topics} must be at least 1, or null for all")
        if n_words < 1:
            raise InputError(f"n_words={n_words} must be at least 1")
        self.folder = Path(folder).expanduser()
        self.n_topics = n_topics
        self.n_words = n_words
        self.split = split
        self.labels = labels
        self._documents: list[Document] | None = None
        self._topics: list[str] = []
        self._tfidf: TfIdf | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.n_words,)

    @property
    def topics(self) -> list[str]:
        """Name of each class."""
        self._read()
        return self._topics

    def load(self) -> Samples:
        documents = self._of_split("train") if self.split else self._read()
        if self._tfidf is None:
            rows = self.training_rows(len(documents))
            training = documents if rows is None else [documents[i] for i in rows.tolist()]
            self._tfidf = TfIdf.learn(_texts(training), self.n_words)
        return self._samples(documents, self._tfidf)

    def load_test(self) -> Samples | None:
        if not self.split:
            return None
        if self._tfidf is None:
            self.load()
        assert self._tfidf is not None
        return self._samples(self._of_split("test"), self._tfidf)

    def preprocessing_state(self) -> dict[str, Any]:
        """Vocabulary, idf and scaling, for a checkpoint of the model."""
        tfidf = {} if self._tfidf is None else {"tfidf": self._tfidf.state_dict()}
        return {**super().preprocessing_state(), **tfidf}

    def load_preprocessing_state(self, state: dict[str, Any]) -> None:
        """Use the words, idf and scaling that another DataModule has learned.

        Raises:
            InputError: the state has no words, or another number of them.
        """
        if "tfidf" not in state:
            raise InputError(
                "ckpt_path names a checkpoint of a model whose samples were no TF-IDF of words; "
                f"{type(self).__name__} has nothing else"
            )
        if state["tfidf"]["n_words"] != self.n_words:
            raise InputError(
                f"ckpt_path names a checkpoint with n_words={state['tfidf']['n_words']}, but here it is "
                f"{self.n_words}; give the same"
            )
        self._tfidf = TfIdf(**state["tfidf"])
        had_test, self._train, self._test = self._test is not None, None, None  # of other words
        super().load_preprocessing_state(state)
        if had_test:
            self.setup("")

    def _samples(self, documents: list[Document], tfidf: TfIdf) -> Samples:
        if not documents:
            raise InputError(f"folder={str(self.folder)!r} has no news of one topic with a body here; check the files")
        number = {topic: i for i, topic in enumerate(self._topics)}
        y = np.array([number[document.topics[0]] for document in documents])
        return Samples(tfidf(_texts(documents)), y if self.labels else None)

    def _of_split(self, split: str) -> list[Document]:
        return [document for document in self._read() if document.split == split]

    def _read(self) -> list[Document]:
        """News of one topic, if it is a frequent one, with a body."""
        if self._documents is None:
            documents = [found for found in read_sgml(self.folder) if len(found.topics) == 1 and found.body]
            if self.split:
                documents = [found for found in documents if found.split != "unused"]
            counted = [found for found in documents if found.split == "train"] if self.split else documents
            counts = Counter(found.topics[0] for found in counted)
            topics = sorted(counts, key=lambda topic: (-counts[topic], topic))[: self.n_topics]
            if not topics:
                raise InputError(f"folder={str(self.folder)!r} has no news of one topic with a body; check the files")
            self._topics = topics
            self._documents = [found for found in documents if found.topics[0] in set(topics)]
        return self._documents


def _texts(documents: list[Document]) -> list[str]:
    return [f"{document.title}\n{document.body}" for document in documents]
