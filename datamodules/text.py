"""DataModule of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.annotation import Annotation
from datamodules.documents import TextsBeside
from datamodules.folder import find_files
from datamodules.learning import LearningDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from datamodules.messages import tell
from datamodules.tables.annotated import copy_endings, write_table_copy
from datamodules.tables.columns import require_column
from datamodules.tables.dialect import CsvFormat
from datamodules.tables.file import is_table_file, read_table
from datamodules.tables.schema import read_classes, read_ids, read_labels
from datamodules.tables.values import as_strings
from datamodules.tfidf import TfIdf
from lightning_dc.batch import Assigned
from lightning_dc.errors import InputError

Empty = Literal["error", "zeros"]


class TextDataModule(LearningDataModule[TfIdf]):
    """TF-IDF of the most frequent words of texts, which are files of a folder or a column of a table.

    Words and their idf are learned on the training rows and travel with the checkpoint. Features are sublinear TF-IDF
    without English stop words; they are sparse, and rows have length 1. Of scripts without spaces between words, such
    as Chinese, Japanese and Thai, n-grams of characters are taken for words. A text that has none of the learned words
    has a row of zeros.

    Args:
        path: a folder of ``.txt`` files, flat or with one folder for each class, or a CSV, TSV or Parquet file.
        text_column: column of a table with the texts.
        label: column of a table with the classes, for evaluation; a missing class is unknown.
        id_column: column of a table with the ids, which are written beside the clusters. The ids of a folder are the
            paths of its files.
        n_words: number of features F. If the texts have fewer words, the other columns are zeros.
        encoding: encoding of the files in a folder, or of a CSV or TSV file.
        empty: treatment of a text that is white space alone or is missing in a table: ``error`` refuses it, ``zeros``
            gives it a row of zeros.
        batch_size: number of texts in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; ``rms`` multiplies rows of length 1 by sqrt(F).
        val_fraction: share of the texts that is held out for validation.
        labels: give the labels, for evaluation.

    Raises:
        InputError: an argument is out of range, or a file is missing, damaged or not in the encoding.
    """

    learned_name = "tfidf"

    def __init__(
        self,
        path: str,
        text_column: str = "text",
        label: str | None = None,
        id_column: str | None = None,
        n_words: int = 2000,
        encoding: str = "utf-8",
        empty: Empty = "error",
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        labels: bool = True,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction)
        if n_words < 1:
            raise InputError(f"n_words={n_words} must be at least 1")
        if empty not in ("error", "zeros"):
            raise InputError(f"empty={empty!r} is unknown; choose from error, zeros")
        self.format = CsvFormat(encoding=encoding)
        self.path = Path(path).expanduser()
        self.text_column = text_column
        self.label = label
        self.id_column = id_column
        self.n_words = n_words
        self.encoding = encoding
        self.empty = empty
        self.labels = labels
        self._documents: TextsBeside | None = None

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"path": self.path}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.n_words if self.learned is None else self.learned.n_words,)

    @property
    def has_terms(self) -> bool:
        return True

    @property
    def feature_names(self) -> Sequence[str]:
        learned = self.ensure_learned()
        n_unused = learned.n_words - len(learned.words)
        return [*learned.words, *(f"(unused {i})" for i in range(n_unused))]

    @property
    def documents(self) -> TextsBeside | None:
        self.training_samples()
        return self._documents

    def restore(self, state: dict[str, Any]) -> TfIdf:
        return TfIdf(**state)

    def load(self) -> Samples:
        read = self._read_table() if is_table_file(self.path) else self._read_folder()
        for name, text in zip(read.names, read.texts, strict=True):
            if self.empty == "error" and not text.strip():
                raise InputError(f"{self.path}: {name} holds no text; leave it out, or set empty to zeros")
        if self.learned is None:
            try:
                self.learned = TfIdf.learn(self.training_part(read.texts), self.n_words)
            except InputError as error:
                raise InputError(f"{self.path}: {error}") from error
        self._documents = TextsBeside(read.texts)
        x = self.learned(read.texts)
        n_zeros = int((x.getnnz(axis=1) == 0).sum())
        if 2 * n_zeros > len(read.texts):
            tell(f"{self.path}: {n_zeros} of {len(read.texts)} texts have none of the words; their rows are zeros")
        return Samples(x, read.y if self.labels else None, ids=read.ids)

    def annotated_endings(self) -> Sequence[str]:
        """Return the endings of a copy of the table with the clusters; none of a folder."""
        return copy_endings(self.path)

    def write_annotated(self, path: Path, ending: str, final: Assigned) -> None:
        """Write a copy of the table with a cluster for each training row."""
        n_rows = len(self.training_samples().x)
        write_table_copy(self.path, path, ending, Annotation.of(final, self.training_rows(n_rows), n_rows), self.format)

    def _read_folder(self) -> _Texts:
        files = find_files(self.path, (".txt",))
        texts = []
        for path in files.paths:
            try:
                texts.append(path.read_text(self.encoding))
            except (OSError, UnicodeError) as error:
                raise InputError(f"{path}: can't be read ({error}); save it as {self.encoding}") from error
        return _Texts(texts, files.y, np.array(files.ids), files.ids)

    def _read_table(self) -> _Texts:
        text_columns = [name for name in (self.text_column, self.label, self.id_column) if name is not None]
        table = read_table(self.path, text_columns, self.format)
        names = table.column_names
        require_column("text_column", self.text_column, names, self.path)
        if self.learned is None:  # new texts need no labels
            require_column("label", self.label, names, self.path)
        require_column("id_column", self.id_column, names, self.path)
        y = None
        if self.label in names:
            y = read_labels(table, self.label, read_classes(table, str(self.label), self.path), self.path)
        texts = [text or "" for text in as_strings(table[self.text_column], self.text_column, self.path)]
        ids = None if self.id_column is None else read_ids(table, self.id_column, self.path)
        return _Texts(texts, y, ids, [f"row {row}" for row in range(len(texts))])


class _Texts(NamedTuple):
    """Texts with their classes and ids.

    Attributes:
        texts: the texts.
        y: class of each text, (N,); None without classes.
        ids: id of each text, (N,); None without ids.
        names: name of each text in messages.
    """

    texts: list[str]
    y: NDArray[np.int64] | None
    ids: NDArray[Any] | None
    names: list[str]
