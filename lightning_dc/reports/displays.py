"""Displays of the progress of a run: a bar in a terminal or a notebook, lines in a file."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import ClassVar, Protocol

from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm  # with ipywidgets, a widget in notebooks

from lightning_dc.reports.message_lines import messages_on_own_lines
from lightning_dc.reports.moment import Moment

_IN_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in Tqdm.__mro__)
# A bar of the same width at all times, so that nothing jumps; a widget has a width of its own.
_FORMAT = "{percentage:3.0f}%|" + ("{bar}" if _IN_NOTEBOOK else "{bar:12}") + "| {desc}"


class Display(Protocol):
    """Display of the progress of a run.

    Attributes:
        interval_s: seconds between two updates.
        within_epochs: whether it is updated within epochs, too.
    """

    interval_s: ClassVar[float]
    within_epochs: ClassVar[bool]

    def show(self, moment: Moment) -> None:
        """Show a moment of the run."""

    def end_with_next_message(self) -> None:
        """Note that nothing follows but the report of the run; the first line of it ends the display."""

    def close(self) -> None:
        """Leave what is shown as it is."""


class BarDisplay:
    """One bar, below all messages.

    Args:
        moment: the first moment to show.
    """

    interval_s: ClassVar[float] = 0.25
    within_epochs: ClassVar[bool] = True

    def __init__(self, moment: Moment) -> None:
        self._bar = Tqdm(
            total=moment.n_total,
            initial=moment.n_done,
            desc=moment.in_a_bar,
            bar_format="{desc}" if moment.n_total is None else _FORMAT,
            file=sys.stdout,
            **_size(),
        )
        self._is_hidden = False
        self._is_ending = False
        self._streams = contextlib.ExitStack()
        self._streams.enter_context(messages_on_own_lines(self._hide, self._show_again))

    def show(self, moment: Moment) -> None:
        self._bar.n, self._bar.total = moment.n_done, moment.n_total
        for name, value in _size().items():
            setattr(self._bar, name, value)
        self._bar.set_description_str(moment.in_a_bar, refresh=False)
        if not self._is_hidden:
            self._bar.refresh()

    def end_with_next_message(self) -> None:
        self._is_ending = True

    def close(self) -> None:
        self._streams.close()
        self._bar.close()

    def _hide(self) -> None:
        if self._is_ending:
            self._bar.close()  # the streams stay until the run is over: print must not lose its stream while it writes
        elif not self._is_hidden:
            self._is_hidden = True
            self._bar.clear()
            self._bar.fp.flush()

    def _show_again(self) -> None:
        self._is_hidden = False
        if not self._bar.disable:  # which a closed bar is
            self._bar.refresh()


class LineDisplay:
    """Lines for a file: some at the ends of epochs, and those of the first and the last epoch of each phase."""

    interval_s: ClassVar[float] = 10.0
    within_epochs: ClassVar[bool] = False

    def show(self, moment: Moment) -> None:
        print(moment.as_line, flush=True)

    def end_with_next_message(self) -> None:
        """Do nothing, since each line is complete."""

    def close(self) -> None:
        """Do nothing, since each line is complete."""


def display_for(moment: Moment) -> Display:
    """Return the display that suits the standard output.

    Args:
        moment: the first moment to show.
    """
    return BarDisplay(moment) if _IN_NOTEBOOK or sys.stdout.isatty() else LineDisplay()


def _size() -> dict[str, int]:
    """Return the columns and rows for a bar; none for a widget.

    A terminal that does not know its size counts as one of 80 columns. There tqdm itself (``dynamic_ncols``) would show
    nothing.
    """
    if _IN_NOTEBOOK:
        return {}
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        columns, rows = 0, 0
    return {"ncols": (columns or 80) - 1, "nrows": rows or 24}
