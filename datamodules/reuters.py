"""Reuters news: Reuters-21578 and RCV1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodules import rcv1, reuters21578
from datamodules.base import ClusteringDataModule, Samples
from datamodules.frequent_columns import FrequentColumns
from datamodules.news import News
from datamodules.scaling import ScalingName
from datamodules.tfidf import TfIdf
from lightning_dc.errors import InputError

Corpus = Literal["reuters21578", "rcv1"]
_FEATURES: dict[Corpus, tuple[str, type[TfIdf] | type[FrequentColumns]]] = {
    "reuters21578": ("tfidf", TfIdf),
    "rcv1": ("columns", FrequentColumns),
}
_SUBSET_SEED = 0  # pinned: another one would be another data set


class ReutersDataModule(ClusteringDataModule):
    """TF-IDF of Reuters news that belong to exactly one class.

    Samples are sparse, rows have length 1. What is learned on the training rows is kept in the checkpoint, which
    applies it to other news. News without a known word have a row of zeros.

    - ``reuters21578`` (Lewis 1997, http://www.daviddlewis.com/resources/testcollections/reuters21578/): the news that
      have a body and exactly one topic. Features are the most frequent words of title and body, without English
      stop words, as sublinear TF-IDF, as DEC's Caffe code makes of RCV1. Classes are topics, numbered from the most
      frequent one on.
    - ``rcv1`` (Lewis et al. 2004, https://jmlr.org/papers/v5/lewis04a.html), the REUTERS of the DEC paper: the 685,071
      documents with exactly one of the four root categories, or a random subset; 10,000 of them make REUTERS-10K.
      Features are the most frequent of the 47,236 stems, with the weights that come with the corpus; scikit-learn's
      ``fetch_rcv1`` downloads it and keeps it. There are no texts, so it can't be applied to raw ones.

    Args:
        folder: of Reuters-21578, where the ``.sgm`` files lie, or their ``.tar.gz``, or the path of that archive; None
            is ``data/reuters21578``. Of RCV1, scikit-learn's ``data_home``; None is its default.
        corpus: ``reuters21578`` or ``rcv1``.
        n_topics: keep the news of the most frequent topics of Reuters-21578, this many; None keeps all of them.
        n_words: number of features F. A corpus of fewer words has columns of zeros.
        split: train on the training set of the ModApte split of Reuters-21578 and evaluate on its test set, without
            the news that are in neither. False pools all news.
        n_documents: of RCV1, take a random subset of so many, always the same; None takes all.
        download: download what is missing.
        batch_size: news in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; ``rms`` multiplies rows of length 1 by sqrt(F).
        val_fraction: share of the training news that is held out for validation.
        labels: give the labels, for evaluation. Without them, topics still choose the news.

    Raises:
        InputError: an argument out of range or of the other corpus, or files that are missing or damaged.
    """

    def __init__(
        self,
        folder: str | None = None,
        corpus: Corpus = "reuters21578",
        n_topics: int | None = 10,
        n_words: int = 2000,
        split: bool = False,
        n_documents: int | None = None,
        download: bool = True,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        labels: bool = True,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction)
        if corpus not in _FEATURES:
            raise InputError(f"corpus={corpus!r} is unknown; choose from {', '.join(_FEATURES)}")
        for name, value in (("n_topics", n_topics), ("n_words", n_words), ("n_documents", n_documents)):
            if value is not None and value < 1:
                raise InputError(
                    f"{name}={value} must be at least 1" + ("" if name == "n_words" else ", or null for all")
                )
        if corpus == "rcv1" and split:
            raise InputError("split=True is the ModApte split of corpus='reuters21578'; leave it out with 'rcv1'")
        if corpus == "reuters21578" and n_documents is not None:
            raise InputError(
                f"n_documents={n_documents} is a subset of corpus='rcv1'; leave it out with 'reuters21578'"
            )
        self.corpus = corpus
        self.folder = None if folder is None else Path(folder).expanduser()
        self.n_topics = n_topics
        self.n_words = n_words
        self.split = split
        self.n_documents = n_documents
        self.download = download
        self.labels = labels
        self._news: News | None = None
        self._topics: list[str] = []
        self._ids: list[int] = []
        self._features: TfIdf | FrequentColumns | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.n_words,)

    @property
    def topics(self) -> list[str]:
        """Name of each class."""
        if not self._topics:
            self._read()
        return self._topics

    @property
    def ids(self) -> list[int]:
        """The corpus' own number of each document, in the order of ``predict``: NEWID, or RCV1's sample id."""
        if not self._ids:
            self._read()
        return self._ids

    @property
    def feature_names(self) -> Sequence[str] | None:
        """Word of each feature; of RCV1, whose stems do not come with it, the column of ``fetch_rcv1``."""
        if self._features is None:
            return None
        words = self._features.words
        return words + [""] * (self.n_words - len(words))

    def prepare_data(self) -> None:
        if self.download and self.corpus == "rcv1":
            rcv1.fetch(self.folder)
        elif self.download:
            reuters21578.fetch(self._sgml_folder)

    def load(self) -> Samples:
        news = self._part(is_test=False)
        if self._features is None:
            rows = self.training_rows(len(news.y))
            training = news if rows is None else news.subset(rows.numpy())
            self._features = _FEATURES[self.corpus][1].learn(training.documents, self.n_words)
        return self._samples(news, self._features)

    def load_test(self) -> Samples | None:
        if not self.split:
            return None
        if self._features is None:
            self.load()
        assert self._features is not None
        return self._samples(self._part(is_test=True), self._features)

    def preprocessing_state(self) -> dict[str, Any]:
        """What features are made with, and the scaling, for a checkpoint of the model."""
        key = _FEATURES[self.corpus][0]
        features = {} if self._features is None else {key: self._features.state_dict()}
        return {**super().preprocessing_state(), **features}

    def load_preprocessing_state(self, state: dict[str, Any]) -> None:
        """Make features as another DataModule has learned to.

        Raises:
            InputError: the state is of another corpus or of no words at all, or has another number of them.
        """
        key, kind = _FEATURES[self.corpus]
        if key not in state:
            raise InputError(
                f"ckpt_path names a checkpoint of a model whose samples were no {key} of words; "
                f"{type(self).__name__} with corpus={self.corpus!r} has nothing else"
            )
        rest = {name: value for name, value in state.items() if name != key}
        if state[key]["n_words"] != self.n_words:
            raise InputError(
                f"ckpt_path names a checkpoint with n_words={state[key]['n_words']}, but here it is "
                f"{self.n_words}; give the same"
            )
        self._features = kind(**state[key])
        had_test, self._train, self._test = self._test is not None, None, None  # of other words
        super().load_preprocessing_state(rest)
        if had_test:
            self.setup("")

    @property
    def _sgml_folder(self) -> Path:
        return Path("data/reuters21578") if self.folder is None else self.folder

    def _samples(self, news: News, features: TfIdf | FrequentColumns) -> Samples:
        if len(news.y) == 0:
            raise InputError(
                f"folder={str(self._sgml_folder)!r} has no news of one topic with a body here; check the files"
            )
        return Samples(features(news.documents), news.y if self.labels else None)

    def _part(self, *, is_test: bool) -> News:
        news = self._read()
        return news.subset(news.is_test == is_test) if self.split else news

    def _read(self) -> News:
        if self._news is not None:
            return self._news
        if self.corpus == "rcv1":
            news = rcv1.read_rcv1(self.folder, self.n_documents, _SUBSET_SEED)
        else:
            news = self._news = reuters21578.read_reuters21578(self._sgml_folder, self.n_topics, split=self.split)
        # All stems of RCV1 are 600 MB, which are not held while a model trains.
        self._topics = list(news.topics)
        self._ids = np.concatenate([news.ids[~news.is_test], news.ids[news.is_test]]).tolist()
        return news
