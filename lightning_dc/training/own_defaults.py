"""Defaults of a class that takes the place of another one in a configuration."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from jsonargparse import ArgumentParser, Namespace, _typehints
from jsonargparse._util import import_object

_WHOLE = (pl.LightningModule, pl.LightningDataModule)
_take_over: Any = _typehints.discard_init_args_on_class_path_change


@contextmanager
def own_defaults() -> Iterator[list[str]]:
    """Give a class that is named in place of another one its own defaults, within this context.

    jsonargparse (4.53) hands the arguments of the class before on to the new one, defaults included, and leaves out in
    silence those that the new one lacks. Here a part of a method, such as an optimizer, takes none of them. A method or
    a DataModule keeps what means the same for both, that is the arguments for which they have the same default. Parts
    of the Trainer are as in jsonargparse.

    Yields:
        A list that receives a message for each class, if values that a user has given no longer count.
    """
    if _typehints.discard_init_args_on_class_path_change is not _take_over:  # within another such context
        yield []
        return
    messages: list[str] = []
    _typehints.discard_init_args_on_class_path_change = functools.partial(_replace, messages)
    try:
        yield messages
    finally:
        _typehints.discard_init_args_on_class_path_change = _take_over


def _replace(messages: list[str], parser_or_action: Any, prev_val: Any, value: Any) -> None:
    """Take the place of jsonargparse's function, which changes the arguments of the class before, ``prev_val``."""
    init_args = prev_val.get("init_args") if prev_val else None
    if init_args and prev_val["class_path"] != value["class_path"]:
        old, new = (import_object(spec["class_path"]) for spec in (prev_val, value))
        if not old.__module__.startswith("lightning.pytorch.") or old in _WHOLE:
            lost = _leave_out(init_args, old, new)
            if lost and (message := _message(old, new, lost)) not in messages:
                messages.append(message)
    _take_over(parser_or_action, prev_val, value)


def _leave_out(init_args: Namespace, old: Any, new: Any) -> list[str]:
    """Replace arguments of a class by the defaults of another class, and return those that a user has given."""
    old_defaults, new_defaults = _defaults(old), _defaults(new)
    is_whole = isinstance(old, type) and issubclass(old, _WHOLE)
    lost: dict[str, None] = {}
    for name, value in _units(init_args).items():
        exists = name in new_defaults
        if is_whole and exists and old_defaults.get(name) == new_defaults[name]:
            continue
        # Of a part, the arguments hold the defaults, too; of a method or a DataModule they are those that are given.
        is_given = value is not None and (is_whole or value != old_defaults.get(name))
        if is_given and value != new_defaults.get(name):
            lost[name if exists or not is_whole else name.partition(".")[0]] = None
        if is_whole and exists:
            init_args[name] = copy.deepcopy(new_defaults[name])
        else:
            init_args.pop(name)
    return list(lost)


def _message(old: Any, new: Any, lost: Sequence[str]) -> str:
    were, count = ("was", "counts") if len(lost) == 1 else ("were", "count")
    return (
        f"{new.__name__} takes the place of {old.__name__}, for which {', '.join(lost)} {were} given and no longer "
        f"{count}, as {new.__name__} has another default or no such argument; give values for {new.__name__} after its "
        "name"
    )


def _units(arguments: Namespace, prefix: str = "") -> dict[str, Any]:
    """Return arguments by name, with those of a dataclass, such as a phase, as ``phase.argument``."""
    units: dict[str, Any] = {}
    for name, value in vars(arguments).items():
        if isinstance(value, Namespace) and "class_path" not in value:
            units |= _units(value, f"{prefix}{name}.")
        else:
            units[prefix + name] = list(value) if isinstance(value, tuple) else value
    return units


@functools.cache
def _defaults(function: Any) -> dict[str, Any]:
    """Return the default of each argument of a class or function; None where it has none."""
    parser = ArgumentParser()
    if isinstance(function, type):
        parser.add_class_arguments(function, fail_untyped=False)
    else:
        parser.add_function_arguments(function, fail_untyped=False)
    return _units(parser.get_defaults())
