"""Tests of the reader of Reuters-21578's files."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.reuters.sgml import Document, parse_sgml, read_sgml
from lightning_dc.errors import InputError
from tests.helpers.fake_reuters import document, write_fake_reuters, write_sgml


def parsed(*documents: str) -> list[Document]:
    return parse_sgml("".join(documents).encode("latin-1"), "file")


def test_a_document_is_read() -> None:
    text = document(("crude", "ship"), "AT&amp;T &lt;T> rose\nto 5&#127;", "A &lt;B>")
    assert parsed(text) == [Document(("crude", "ship"), "train", "A <B>", "AT&T <T> rose\nto 5\n Reuter", 1)]


def test_parts_may_be_missing() -> None:
    found = parsed(document((), None), document(body=None, title=None), document(title=None), document(body=""))
    assert [(d.topics, d.title, d.body) for d in found] == [
        ((), "TITLE", ""),
        (("earn",), "", ""),
        (("earn",), "", "profits rose\n Reuter"),
        (("earn",), "TITLE", "Reuter"),
    ]


@pytest.mark.parametrize("byte", ["\x00", "\x03", "\x1e", "\x7f", "\x85", "&#3;", "&#5;", "&#31;"])
def test_control_characters_are_left_out(byte: str) -> None:
    body = parsed(document(body=f"one{byte} two"))[0].body
    assert body.split() == ["one", "two", "Reuter"]


def test_letters_beyond_ascii_are_latin_1() -> None:
    assert parsed(document(body="Perón £5"))[0].body.startswith("Perón £5")


@pytest.mark.parametrize(
    ("attributes", "split"),
    [
        ('TOPICS="YES" LEWISSPLIT="TRAIN"', "train"),
        ('TOPICS="YES" LEWISSPLIT="TEST"', "test"),
        ('TOPICS="YES" LEWISSPLIT="NOT-USED"', "unused"),
        ('TOPICS="NO" LEWISSPLIT="TRAIN"', "unused"),
        ('TOPICS="BYPASS" LEWISSPLIT="TEST"', "unused"),
        ("", "unused"),
    ],
)
def test_the_split_is_modapte(attributes: str, split: str) -> None:
    assert parsed(document(attributes=attributes))[0].split == split


def test_a_folder_an_archive_and_a_folder_of_it_are_the_same(tmp_path: Path) -> None:
    folder = write_fake_reuters(tmp_path / "files")
    (tmp_path / "packed").mkdir()
    archive = tmp_path / "packed" / "reuters21578.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for path in sorted(folder.iterdir(), reverse=True):
            file.add(path, f"reuters21578/{path.name}")
    expected = read_sgml(folder)
    assert len(expected) == 240
    assert [d.title for d in expected[:3]] == ["Number 0", "Number 2", "Number 4"]
    assert read_sgml(archive) == read_sgml(archive.parent) == expected


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is neither a folder nor a tar"):
        read_sgml(tmp_path / "missing")
    with pytest.raises(InputError, match=r"holds no \.sgm files"):
        read_sgml(tmp_path)
    write_sgml(tmp_path / "news-000.sgm", [document(), document()[:-12]])
    with pytest.raises(InputError, match=r"news-000\.sgm: document 2 of the file doesn't end"):
        read_sgml(tmp_path)
    write_sgml(tmp_path / "news-000.sgm", [document(), document()[:-12], document()])
    with pytest.raises(InputError, match=r"news-000\.sgm: document 2 of the file doesn't end"):
        read_sgml(tmp_path)
    write_sgml(tmp_path / "news-000.sgm", [])
    with pytest.raises(InputError, match="holds no <REUTERS> document"):
        read_sgml(tmp_path)


@pytest.mark.parametrize("n_bytes", [0, 10, 300])
def test_a_damaged_archive_is_refused(tmp_path: Path, n_bytes: int) -> None:
    folder = write_fake_reuters(tmp_path / "files")
    archive = tmp_path / "reuters21578.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder)
    archive.write_bytes(archive.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=r"reuters21578\.tar\.gz: can't be read as a tar archive") as caught:
        read_sgml(archive)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60), st.integers(0, 700), st.integers(0, 50))
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_end_in_documents_or_an_input_error(noise: bytes, start: int, n_lost: int) -> None:
    content = (document() + document()).encode("latin-1")
    try:
        assert all(
            isinstance(d, Document) for d in parse_sgml(content[:start] + noise + content[start + n_lost :], "f")
        )
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most damage goes unseen, so nothing need be raised


def test_missing_files_of_the_corpus_are_named(tmp_path: Path) -> None:
    for number in range(22):
        write_sgml(tmp_path / f"reut2-{number:03}.sgm", [document()])
    assert len(read_sgml(tmp_path)) == 22
    for number in (3, 17):
        (tmp_path / f"reut2-{number:03}.sgm").unlink()
    with pytest.raises(InputError, match=r"lacks reut2-003\.sgm, reut2-017\.sgm of Reuters-21578"):
        read_sgml(tmp_path)
