"""What a progress bar tells at one moment."""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """State of a run at one moment, as text and numbers.

    Attributes:
        n_done: number of steps that are done.
        n_total: number of steps of the whole run; None if it is not known.
        place: where the run is, such as its phase and epoch.
        figures: short figures, such as the loss.
        elapsed_s: seconds since the run began.
        left_s: seconds that the rest of the run will take; None if they are not known.
    """

    n_done: int
    n_total: int | None
    place: str
    figures: tuple[str, ...]
    elapsed_s: float
    left_s: float | None

    @property
    def in_a_bar(self) -> str:
        """Text behind a bar: what is short comes first, because a narrow terminal cuts off the end."""
        left = "?" if self.left_s is None else clock(self.left_s)
        return ", ".join([f"{clock(self.elapsed_s)}<{left}", *self.figures, self.place])

    @property
    def as_line(self) -> str:
        """Line of a file."""
        done = f"{self.n_done} steps" if self.n_total is None else f"{self.n_done / max(1, self.n_total):4.0%}"
        times = [f"{clock(self.elapsed_s)} elapsed"]
        if self.left_s is not None and self.n_done != self.n_total:
            times.append(f"{clock(self.left_s)} left")
        return f"{done} " + ", ".join([self.place, *self.figures, *times])


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, or hours, minutes and seconds.

    Example:
        >>> clock(75.4), clock(36_610.0)
        ('1:15', '10:10:10')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
