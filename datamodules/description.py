"""Description of a DataModule in one line, which never loads samples and never fails."""

from __future__ import annotations

import inspect
from os import PathLike
from typing import Any

_MOST_CHARACTERS = 60  # of a value
_MISSING = object()


def describe(data: Any) -> str:
    """Return the class of a DataModule with the arguments that it keeps, and the shape of samples that are loaded.

    An attribute that is missing or fails is left out, so that this can be part of any message.

    Args:
        data: the DataModule, possibly half constructed.
    """
    arguments = [f"{name}={value}" for name, value in _arguments(data)]
    return f"{type(data).__name__}({', '.join([*arguments, *_samples(data)])})"


def _arguments(data: Any) -> list[tuple[str, str]]:
    """Return the arguments of the constructor that are attributes of the same names and differ from their defaults."""
    found = []
    for name, parameter in _parameters(data).items():
        value = _attribute(data, name)
        if value is not _MISSING and not _is(value, parameter.default):
            found.append((name, _shown(value)))
    return found


def _parameters(data: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(type(data)).parameters)
    except (TypeError, ValueError):
        return {}


def _samples(data: Any) -> list[str]:
    """Return the shapes of samples that have been loaded."""
    shapes = []
    for name, attribute in (("samples", "_train"), ("test samples", "_test")):
        shape = getattr(getattr(_attribute(data, attribute), "x", None), "shape", None)
        if shape is not None:
            shapes.append(f"{name}: {tuple(shape)}")
    return shapes


def _attribute(data: Any, name: str) -> Any:
    """Return an attribute; nothing of a property is computed, since that may load samples."""
    try:
        if isinstance(inspect.getattr_static(data, name), property):
            return _MISSING
        return getattr(data, name)
    except Exception:  # another error, which is being told, must not be hidden
        return _MISSING


def _is(value: Any, default: Any) -> bool:
    try:
        return value is default or (type(value) is type(default) and bool(value == default))
    except Exception:  # of arrays, for instance
        return False


def _shown(value: Any) -> str:
    """Return a value in few characters; of an array its shape."""
    try:
        shape = getattr(value, "shape", None)
        if shape is not None:
            return f"<{type(value).__name__} {tuple(shape)}>"
        text = repr(str(value)) if isinstance(value, PathLike) else " ".join(repr(value).split())
    except Exception:  # another error, which is being told, must not be hidden
        return f"<{type(value).__name__}>"
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
