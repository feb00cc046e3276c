"""Tests that messages stand on lines of their own above a bar."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Callable

import pytest
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_dc.reports.displays import BarDisplay
from lightning_dc.reports.moment import Moment
from tests.helpers.terminal import open_terminal, shown

BAR = " 50%|██████      | 0:01<0:01, fit"


def moment() -> Moment:
    return Moment(1, 2, "fit", (), 1.0, 1.0)


def log_to_handler() -> None:
    logging.getLogger("tests.message_lines").warning("a message")


MESSAGES: dict[str, Callable[[], None]] = {
    "print": lambda: print("a message"),
    "several arguments": lambda: print("a", "message", flush=True),
    "stderr": lambda: print("a message", file=sys.stderr),
    "writelines": lambda: sys.stdout.writelines(["a mes", "sage\n"]),
    "handler": log_to_handler,
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    terminal = open_terminal(monkeypatch)
    logger, handler = logging.getLogger("tests.message_lines"), logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    logger.propagate = False
    display = BarDisplay(moment())
    MESSAGES[name]()
    MESSAGES[name]()
    display.show(moment())
    display.close()
    logger.removeHandler(handler)
    assert handler.stream is terminal
    assert shown(terminal.getvalue()) == ["a message", "a message", BAR, ""]


def test_infos_and_warnings_of_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    handler = logging.StreamHandler(sys.stderr)
    logger = logging.getLogger("lightning.pytorch")
    monkeypatch.setattr(logger, "handlers", [handler])
    display = BarDisplay(moment())
    rank_zero_info("an info")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: sys.stderr.write(f"{message}\n"))
        rank_zero_warn("a warning")
    display.close()
    assert shown(terminal.getvalue()) == ["an info", "a warning", BAR, ""]


def test_an_incomplete_line_stays_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    display = BarDisplay(moment())
    sys.stdout.write("a question? ")
    display.show(moment())
    assert shown(terminal.getvalue()) == ["a question?"]
    sys.stdout.write("an answer\n")
    assert shown(terminal.getvalue()) == ["a question? an answer", BAR]
    display.close()


def test_the_first_message_after_the_end_ends_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    display = BarDisplay(moment())
    display.end_with_next_message()
    print("a", "table")
    print("of results")
    assert shown(terminal.getvalue()) == [BAR, "a table", "of results", ""]
    display.close()
    display.close()
    assert shown(terminal.getvalue()) == [BAR, "a table", "of results", ""]


def test_streams_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    display = BarDisplay(moment())
    assert sys.stdout is not terminal
    assert sys.stdout.isatty()
    display.close()
    assert sys.stdout is terminal
    assert sys.stderr is terminal


def test_a_stream_that_another_has_replaced_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch)
    display, other = BarDisplay(moment()), io.StringIO()
    monkeypatch.setattr(sys, "stdout", other)
    display.close()
    assert sys.stdout is other


def test_a_stream_that_is_no_terminal_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch)
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    display = BarDisplay(moment())
    assert sys.stderr is file
    display.close()
