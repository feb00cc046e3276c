"""Reader of the SGML files of Reuters-21578 (Lewis 1997)."""

from __future__ import annotations

import html
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from datamodules.decompression import check_size, size_limit
from datamodules.folder import check_link
from lightning_dc.errors import InputError

CORPUS_FILES = tuple(f"reut2-{number:03}.sgm" for number in range(22))
"""Names of the files of Reuters-21578."""

_DOCUMENT = re.compile(r"<REUTERS\b([^>]*)>(.*?)</REUTERS>", re.DOTALL)
_OPENING = re.compile(r"<REUTERS\b")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Document(NamedTuple):
    """A document of the corpus.

    Attributes:
        topics: topics that indexers gave to the document.
        split: ``train`` or ``test`` in the ModApte split, or ``unused``.
        title: title, which may be empty.
        body: body; empty if there is none.
        number: ``NEWID`` of the document; -1 if it has none.
    """

    topics: tuple[str, ...]
    split: str
    title: str
    body: str
    number: int = -1


def read_sgml(path: Path) -> list[Document]:
    """Read the documents of all ``.sgm`` files of a folder or a tar archive, in the order of the files' names.

    If one of the corpus' own files (``reut2-000.sgm`` to ``reut2-021.sgm``) is there, all of them must be. Files with
    other names are taken for other news.

    Args:
        path: a folder with ``.sgm`` files, a folder with no such files but one ``.tar.gz``, or the archive itself.

    Raises:
        InputError: there are no files, a file of the corpus is missing, or a file is damaged.
    """
    documents: list[Document] = []
    names = set()
    for name, content in _files(path):
        documents += parse_sgml(content, f"{path}: {name}")
        names.add(Path(name).name)
    if not documents:
        raise InputError(f"{path}: holds no .sgm files; give the folder of Reuters-21578 or its tar.gz")
    missing = [name for name in CORPUS_FILES if name not in names]
    if missing and len(missing) < len(CORPUS_FILES):
        raise InputError(f"{path}: lacks {', '.join(missing)} of Reuters-21578; get the files again")
    return documents


def parse_sgml(content: bytes, source: str) -> list[Document]:
    """Read the documents of one file.

    The files are latin-1 by their specification (two bytes are not ASCII) and not XML. A document may lack title and
    body. Control characters, which occur as they are and as ``&#3;``, are left out.

    Args:
        content: content of the file.
        source: name of the file in messages.

    Raises:
        InputError: there is no document, or one does not end.
    """
    text = content.decode("latin-1")
    found = list(_DOCUMENT.finditer(text))
    openings = [match.start() for match in _OPENING.finditer(text)]
    if not openings:
        raise InputError(f"{source} holds no <REUTERS> document; get the file again")
    starts = {match.start() for match in found}
    for i, opening in enumerate(openings):
        if opening not in starts:
            swallowed = any(match.start() < opening < match.end() for match in found)  # by a document without an end
            number = i if swallowed else i + 1
            raise InputError(f"{source}: document {number} of the file doesn't end; get the file again")
    return [_document(match[1], match[2]) for match in found]


def _document(head: str, content: str) -> Document:
    attributes = dict(_ATTRIBUTE.findall(head))
    split = "unused"  # ModApte takes documents with assigned topics, split by the attribute LEWISSPLIT
    if attributes.get("TOPICS") == "YES" and attributes.get("LEWISSPLIT") in ("TRAIN", "TEST"):
        split = attributes["LEWISSPLIT"].lower()
    topics = re.findall(r"<D>(.*?)</D>", _part(content, "TOPICS"), re.DOTALL)
    return Document(
        tuple(_clean(topic) for topic in topics),
        split,
        _clean(_part(content, "TITLE")),
        _clean(_part(content, "BODY")),
        int(number) if (number := attributes.get("NEWID", "")).isdecimal() else -1,
    )


def _part(content: str, tag: str) -> str:
    match = re.search(rf"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
    return match[1] if match else ""


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", html.unescape(text)).strip()


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each ``.sgm`` file of a folder or an archive, in the order of the names."""
    if path.is_dir():
        files, archives = sorted(path.glob("*.sgm")), sorted(path.glob("*.tar.gz"))
        for file in (*files, *archives):
            check_link(file, path.resolve())
        if files or len(archives) != 1:
            yield from ((file.name, _read(file)) for file in files)
            return
        path = archives[0]
    if not path.is_file():
        raise InputError(f"{path} is neither a folder nor a tar.gz; give where the .sgm files of Reuters-21578 lie")
    try:
        with tarfile.open(path) as archive:
            limit = size_limit(path.stat().st_size)
            members = [member for member in _members(archive, path, limit) if member.name.endswith(".sgm")]
            for member in sorted(members, key=lambda member: member.name):
                _check_member(member, path)
                content = archive.extractfile(member)
                if content is not None:
                    yield member.name, content.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        reason = " ".join(str(error).split())  # tarfile has a line for each compression that it has tried
        raise InputError(f"{path}: can't be read as a tar archive ({reason}); get the file again") from error


def _members(archive: tarfile.TarFile, path: Path, limit: int) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive, and check the sum of their sizes before the next one is looked for."""
    n_bytes = 0
    for member in archive:
        n_bytes += max(0, member.size)
        check_size(n_bytes, path, limit)
        yield member


def _check_member(member: tarfile.TarInfo, path: Path) -> None:
    """Check that a member of an archive is a file in it.

    Raises:
        InputError: it is a link, or its name leads out of the archive.
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not member.isfile():
        raise InputError(
            f"{path}: {member.name} is no file in the archive; give an archive without links and paths out"
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error})") from error
