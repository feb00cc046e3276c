"""A terminal in memory, and what it shows."""

from __future__ import annotations

import io
import os
import sys

import pytest


class Terminal(io.StringIO):
    """Stream that says that it is a terminal."""

    encoding = "utf-8"

    def fileno(self) -> int:
        return -1

    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> Terminal:
    """Let a terminal take the place of standard output and error, until the end of the test.

    With 0 columns it does not know its size. A test calls this function itself, since pytest sets both streams anew
    after fixtures.
    """
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((columns, 24 if columns else 0)))
    return stream


def shown(text: str) -> list[str]:
    """Return the lines that a terminal shows, where a carriage return goes back to the beginning of a line."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


def drawings(text: str) -> list[str]:
    """Return all states of a bar that a terminal was given, in order."""
    return [part.rstrip() for line in text.split("\n") for part in line.split("\r") if "%|" in part]
