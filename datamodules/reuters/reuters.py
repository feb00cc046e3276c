"""DataModule of Reuters news, Reuters-21578 and RCV1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from datamodules.learning import LearningDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from datamodules.reuters import rcv1, reuters21578
from datamodules.reuters.frequent_columns import FrequentColumns
from datamodules.reuters.news import News
from datamodules.tfidf import TfIdf
from lightning_dc.errors import InputError

Corpus = Literal["reuters21578", "rcv1"]
Features = TfIdf | FrequentColumns
_FEATURES: dict[Corpus, tuple[str, type[TfIdf] | type[FrequentColumns]]] = {
    "reuters21578": ("tfidf", TfIdf),
    "rcv1": ("columns", FrequentColumns),
}
_N_TOPICS = 10  # of Reuters-21578
_SUBSET_SEED = 0  # never to be changed: another seed would make another data set


class ReutersDataModule(LearningDataModule[Features]):
    """TF-IDF of Reuters news that belong to exactly one class.

    Samples are sparse, and their rows have length 1. The words or columns are learned on the training rows and kept in
    the checkpoint, which applies them to other news. News without a learned word have a row of zeros. The ids, which
    are written beside the clusters, are the numbers of the documents in the corpus (NEWID if no two are the same, or
    RCV1's own).

    - ``reuters21578`` (Lewis 1997, http://www.daviddlewis.com/resources/testcollections/reuters21578/): the news that
      have a body and exactly one topic. Features are the sublinear TF-IDF of the most frequent words of title and body
      without English stop words, as DEC's Caffe code computes them for RCV1. Classes are topics, numbered from the most
      frequent one on.
    - ``rcv1`` (Lewis et al. 2004, https://jmlr.org/papers/v5/lewis04a.html), the REUTERS of the DEC paper: the 685,071
      documents with exactly one of the four root categories, or a random subset of them; with 10,000 documents it is
      REUTERS-10K. Features are the most frequent of the 47,236 stems, with the weights that come with the corpus;
      scikit-learn's ``fetch_rcv1`` downloads it. The corpus has no texts, so a model of it cannot be applied
      to raw texts.

    Args:
        folder: for Reuters-21578 the folder of the ``.sgm`` files or of their ``.tar.gz``, or the path of that archive;
            None is ``data/reuters21578``. For RCV1 the folder in which ``RCV1/rcv1.npz`` lies or is made; None takes
            scikit-learn's own cache, whose pickles are read from there alone.
        corpus: ``reuters21578`` or ``rcv1``.
        n_topics: number of the most frequent topics of Reuters-21578 whose news are kept; ``all`` keeps the news of all
            topics, and None is 10.
        n_words: number of features F. If the corpus has fewer words, the other columns are zeros.
        split: train on the training set of the ModApte split of Reuters-21578 and evaluate on its test set, without
            the news that are in neither. False pools all news.
        n_documents: size of a random subset of RCV1, which is always the same; None takes all documents.
        download: download missing files.
        batch_size: number of news in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; ``rms`` multiplies rows of length 1 by sqrt(F).
        val_fraction: share of the training news that is held out for validation.
        labels: give the labels, for evaluation. The news are chosen by their topics in any case.

    Raises:
        InputError: an argument is out of range or belongs to the other corpus, or files are missing or damaged.
    """

    def __init__(
        self,
        folder: str | None = None,
        corpus: Corpus = "reuters21578",
        n_topics: int | Literal["all"] | None = None,
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
        if n_topics < 1 if isinstance(n_topics, int) else n_topics not in (None, "all"):
            raise InputError(f"n_topics={n_topics!r} must be at least 1, or 'all'")
        for name, value in (("n_words", n_words), ("n_documents", n_documents)):
            if value is not None and value < 1:
                raise InputError(
                    f"{name}={value} must be at least 1" + ("" if name == "n_words" else ", or null for all")
                )
        if corpus == "rcv1" and n_topics is not None:
            raise InputError(
                f"n_topics={n_topics!r} chooses news of corpus='reuters21578'; leave it out with 'rcv1', which has four"
            )
        if corpus == "rcv1" and split:
            raise InputError("split=True is the ModApte split of corpus='reuters21578'; leave it out with 'rcv1'")
        if corpus == "reuters21578" and n_documents is not None:
            raise InputError(
                f"n_documents={n_documents} is a subset of corpus='rcv1'; leave it out with 'reuters21578'"
            )
        self.corpus = corpus
        self.learned_name, self._kind = _FEATURES[corpus]
        self.folder = None if folder is None else Path(folder).expanduser()
        self.n_topics = _N_TOPICS if n_topics is None else n_topics
        self.n_words = n_words
        self.split = split
        self.n_documents = n_documents
        self.download = download
        self.labels = labels
        self._news: News | None = None
        self._topics: list[str] = []

    @property
    def source_files(self) -> Mapping[str, Any]:
        folder = self.folder if self.corpus == "rcv1" else self._sgml_folder
        return {} if folder is None else {"folder": folder}

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
    def has_terms(self) -> bool:
        return True

    @property
    def feature_names(self) -> Sequence[str]:
        """Word of each feature; for RCV1, which comes without its stems, the column of ``fetch_rcv1``."""
        words = self.ensure_learned().words
        return [*words, *(f"(unused {i})" for i in range(self.n_words - len(words)))]

    def prepare_data(self) -> None:
        if self.download and self.corpus == "rcv1":
            rcv1.fetch(self.folder)
        elif self.download:
            reuters21578.fetch(self._sgml_folder)

    def restore(self, state: dict[str, Any]) -> Features:
        if state["n_words"] != self.n_words:
            raise InputError(
                f"ckpt_path names a checkpoint with n_words={state['n_words']}, but here it is {self.n_words}; give "
                "the same"
            )
        return self._kind(**state)

    def load(self) -> Samples:
        news = self._select(is_test=False)
        if self.learned is None:
            rows = self.training_rows(len(news.y))
            training = news if rows is None else news.subset(rows.numpy())
            self.learned = self._kind.learn(training.documents, self.n_words)
        return self._samples(news)

    def load_test(self) -> Samples | None:
        return self._samples(self._select(is_test=True)) if self.split else None

    @property
    def _sgml_folder(self) -> Path:
        return Path("data/reuters21578") if self.folder is None else self.folder

    def _samples(self, news: News) -> Samples:
        if len(news.y) == 0:
            raise InputError(
                f"folder={str(self._sgml_folder)!r} has no news of one topic with a body here; check the files"
            )
        return Samples(self.ensure_learned()(news.documents), news.y if self.labels else None, ids=news.ids)

    def _select(self, *, is_test: bool) -> News:
        news = self._read()
        return news.subset(news.is_test == is_test) if self.split else news

    def _read(self) -> News:
        if self._news is not None:
            return self._news
        if self.corpus == "rcv1":  # which is not kept, since all of its stems take 600 MB
            news = rcv1.read_rcv1(self.folder, self.n_documents, _SUBSET_SEED)
        else:
            n_topics = None if self.n_topics == "all" else self.n_topics
            news = self._news = reuters21578.read_reuters21578(self._sgml_folder, n_topics, split=self.split)
        self._topics = list(news.topics)
        return news
