"""Rule that ends a phase when its loss has settled."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_dc.errors import InputError


@dataclass(frozen=True)
class Plateau:
    """Rule that ends a phase when its loss no longer falls.

    The loss is averaged over windows of steps. A window has improved if its mean lies below the best one by more than
    the tolerance; then it is the new best. The phase ends after ``patience`` windows in a row that have not. Windows
    count steps and not epochs, since an epoch of a small data set has few steps.

    Args:
        window: number of optimizer steps in a window; windows that are short against an epoch see other samples.
        tolerance: share of the best mean by which a window must lie below it, 0.01 for one percent.
        patience: number of windows in a row without such an improvement that end the phase.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> Plateau(window=100).patience
        2
    """

    window: int = 200
    tolerance: float = 0.01
    patience: int = 2

    def __post_init__(self) -> None:
        for name, unit in (("window", "steps"), ("patience", "windows")):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}={value} of a plateau is a number of {unit} and must be at least 1")
        if not (isinstance(self.tolerance, (int, float)) and 0.0 <= self.tolerance < 1.0):
            raise InputError(f"tolerance={self.tolerance} of a plateau is a share of the loss and must lie in [0, 1)")
