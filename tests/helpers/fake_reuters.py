"""SGML files with the format of Reuters-21578 and invented news."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TOPICS = ("earn", "acq", "crude", "trade", "money-fx", "interest", "ship", "sugar", "coffee", "gold", "tin")


def document(
    topics: tuple[str, ...] = ("earn",),
    body: str | None = "profits rose",
    title: str | None = "TITLE",
    attributes: str = 'TOPICS="YES" LEWISSPLIT="TRAIN"',
) -> str:
    """Return a document; a part that is None is left out with its tag."""
    marked = "".join(f"<D>{topic}</D>" for topic in topics)
    text = "" if title is None else f"<TITLE>{title}</TITLE>\n"
    text += "" if body is None else f"<DATELINE>   LONDON, Feb 26 - </DATELINE><BODY>{body}\n Reuter\n&#3;</BODY>"
    return (
        f'<REUTERS {attributes} CGISPLIT="TRAINING-SET" OLDID="1" NEWID="1">\n<DATE>26-FEB-1987</DATE>\n'
        f"<TOPICS>{marked}</TOPICS>\n<PLACES><D>uk</D></PLACES>\n<UNKNOWN>&#5;&#5;\n\x01f</UNKNOWN>\n"
        f"<TEXT>&#2;\n{text}</TEXT>\n</REUTERS>\n"
    )


def write_sgml(path: Path, documents: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(('<!DOCTYPE lewis SYSTEM "lewis.dtd">\n' + "".join(documents)).encode("latin-1"))


def write_fake_reuters(folder: Path, n_documents: int = 240) -> Path:
    """Write two files; each topic has words of its own, and the first topics are the most frequent."""
    random = np.random.default_rng(0)
    documents = []
    for i in range(n_documents):
        topic = min(i % 11, i % 13 % 11)
        words = [f"{TOPICS[topic].replace('-', '')}{j}" for j in random.integers(0, 9, 12)]
        words += [f"common{j}" for j in random.integers(0, 30, 12)]
        split = "TRAIN" if i % 4 else "TEST"
        attributes = f'TOPICS="YES" LEWISSPLIT="{split}"'
        documents.append(document((TOPICS[topic],), " ".join(words), f"Number {i}", attributes))
    write_sgml(folder / "news-000.sgm", documents[::2])
    write_sgml(folder / "news-001.sgm", documents[1::2])
    return folder
