"""The table at the end of a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from lightning_dc.reports.top_terms import TopTerm

Rows = list[tuple[str, Any]]
"""Names and values, the rows of the table."""

_MOST_CLUSTERS = 50  # with more clusters, the table leaves their terms out


def print_table(rows: Rows) -> None:
    """Print names and values as a table."""
    from tabulate import tabulate

    print("\n" + tabulate(rows, tablefmt="simple_outline", disable_numparse=True) + "\n")


def print_notes(notes: Iterable[str]) -> None:
    """Print sentences below the table, each as a paragraph of its own."""
    for note in notes:
        print(note + "\n")


def rows_of_terms(terms: Sequence[TopTerm]) -> Rows:
    """Return the top terms of each cluster as rows; with more than 50 clusters none, since ``terms.csv`` has them."""
    of_clusters = [(cluster, list(found)) for cluster, found in itertools.groupby(terms, lambda term: term.cluster)]
    if len(of_clusters) > _MOST_CLUSTERS:
        return []
    return [(f"terms of {cluster}", fold([term.term for term in found])) for cluster, found in of_clusters]


def fold(words: Iterable[object], width: int = 60) -> str:
    r"""Break words into lines of at most ``width`` characters.

    Example:
        >>> fold(["a", "bc", "d"], width=4)
        'a bc\nd'
    """
    lines = [""]
    for word in map(str, words):
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
