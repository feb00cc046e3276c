"""Messages of a program on lines of their own, while a bar is on the screen."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

Action = Callable[[], None]


class _Stream:
    """Stream that hides the bar before a text, and shows it again when the line is complete.

    An incomplete line, such as a question of a debugger, stays visible.
    """

    def __init__(self, stream: Any, hide: Action, show: Action) -> None:
        self._stream = stream
        self._hide = hide
        self._show = show

    def write(self, text: str) -> int:
        """Write a text above the bar."""
        if text:
            self._hide()
        n_written: int = self._stream.write(text)
        if text.endswith("\n"):
            self._stream.flush()
            self._show()
        return n_written

    def writelines(self, lines: Any) -> None:
        """Write texts above the bar."""
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def messages_on_own_lines(hide: Action, show: Action) -> Iterator[None]:
    """Hide a bar while something is written to the terminal: by ``print``, by a warning or by a logger.

    Args:
        hide: function that removes the bar from the screen.
        show: function that shows it again.
    """
    with contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and stream.isatty():
                stack.enter_context(_replaced(name, stream, _Stream(stream, hide, show)))
        yield


@contextlib.contextmanager
def _replaced(name: str, stream: Any, other: Any) -> Iterator[None]:
    """Replace a stream of ``sys``, which handlers of loggers hold, too."""
    handlers = [handler for handler in _handlers() if handler.stream is stream]
    setattr(sys, name, other)
    for handler in handlers:
        handler.setStream(other)
    try:
        yield
    finally:
        if getattr(sys, name) is other:
            setattr(sys, name, stream)
        for handler in handlers:
            if handler.stream is other:
                handler.setStream(stream)


def _handlers() -> list[logging.StreamHandler[Any]]:
    """Return the handlers of all loggers that write to a stream."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = {handler for logger in loggers if isinstance(logger, logging.Logger) for handler in logger.handlers}
    return [handler for handler in handlers if isinstance(handler, logging.StreamHandler)]
