"""Texts that stand beside the samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from datamodules.messages import unreadable_file
from datamodules.tables.columns import require_column
from datamodules.tables.file import is_table_file, read_table
from datamodules.tables.values import as_strings
from datamodules.terms import terms
from datamodules.tfidf import TfIdf
from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_N_WORDS = 2000


class TextsBeside:
    """Texts of the rows of a source; they describe clusters, as ``lightning_dc.batch.Documents`` says.

    Args:
        texts: text of each row, (N,).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def weigh_terms(self, rows: NDArray[Any]) -> tuple[csr_matrix[Any], Sequence[str]]:
        """Return the TF-IDF of the most frequent words of some texts, (n, F), and the words, (F,).

        Args:
            rows: rows of the source, (n,), int64.

        Raises:
            InputError: these texts hold no words but stop words.
        """
        texts = [self.texts[row] for row in rows.tolist()]
        tfidf = TfIdf.learn(texts, _N_WORDS)
        return tfidf(texts)[:, : len(tfidf.words)], tfidf.words

    def check(self, n_rows: int, source: str) -> None:
        """Check that there is one text a row, and a word in one of them.

        Args:
            n_rows: number of rows N of the source.
            source: name of the texts in messages.

        Raises:
            InputError: there are more or fewer texts, or they are no strings, or none holds a word.
        """
        if len(self.texts) != n_rows:
            raise InputError(
                f"{source} holds {len(self.texts)} texts, but x has {n_rows} samples; give one text a sample, in the "
                "order of x (in a .txt file one a line)"
            )
        other = next((i for i, text in enumerate(self.texts) if not isinstance(text, str)), None)
        if other is not None:
            raise InputError(f"{source} holds {self.texts[other]!r} for sample {other}; give strings, '' for none")
        if not any(terms(text) for text in self.texts):
            raise InputError(f"{source} holds no words but stop words; give the texts of the samples")


def read_texts(path: Path, column: str) -> list[str]:
    """Read texts from a file.

    Args:
        path: a ``.txt`` file in UTF-8 with one text a line, or a table.
        column: column of a table with the texts; a missing one is an empty text.

    Raises:
        InputError: the file is missing, damaged, of another kind or not in UTF-8, or has no such column.
    """
    if is_table_file(path):
        table = read_table(path, [column])
        require_column("text_column", column, table.column_names, path)
        return [text or "" for text in as_strings(table[column], column, path)]
    if path.suffix.lower() != ".txt":
        raise InputError(f"texts={str(path)!r} must end in .txt, .csv, .tsv or .parquet; give one text a line or row")
    if not path.is_file():
        raise InputError(f"texts={str(path)!r} is no file; give the path of one")
    try:
        whole = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise unreadable_file(path, error) from error
    return [line.removesuffix("\r") for line in whole.removesuffix("\n").split("\n")]  # other signs end no line
