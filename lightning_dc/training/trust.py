"""Checks that the description of a model in a checkpoint can be rebuilt without executing foreign code."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import importlib
import inspect
import operator
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
import yaml

from lightning_dc.augmentation import Augmentation
from lightning_dc.encoders import Encoder
from lightning_dc.errors import InputError
from lightning_dc.heads import ClusteringHead
from lightning_dc.losses import LossTerm
from lightning_dc.schedules import Schedule

INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
"""Function by which Lightning rebuilds a model; a checkpoint may name no other."""

_SAFE = ("lightning_dc.", "torch.optim.", "torch.nn.", "__main__.")  # what runs as __main__ runs already
_PARTS = (Encoder, ClusteringHead, LossTerm, Schedule, Augmentation, torch.optim.Optimizer, torch.nn.Module)
_Hints = Mapping[str, Any]


class CheckpointGuard:
    """Checks hyperparameters of a checkpoint before anything is built from them.

    Only classes of lightning_dc, torch.optim and torch.nn may be built, and those of packages that the user trusts; and
    only such classes that a method is made of. Modules of other packages are not even imported.

    Args:
        method: base class of the methods that may be built.
        trust: names of further packages, such as the user's own.
        argument: name of the argument that gives the checkpoint, for messages.
    """

    def __init__(self, method: type, trust: Collection[str], argument: str) -> None:
        self._method = method
        self._trust = frozenset(name.partition(".")[0] for name in trust)
        self._argument = argument

    def check(self, hyper_parameters: Any) -> None:
        """Check all hyperparameters.

        Raises:
            InputError: something would be imported, built or called that is not trusted.
        """
        if not isinstance(hyper_parameters, Mapping) or not all(isinstance(name, str) for name in hyper_parameters):
            raise self._refused("hyper_parameters", type(hyper_parameters).__name__, "no mapping of names")
        instantiator = hyper_parameters.get("_instantiator", INSTANTIATOR)
        if instantiator != INSTANTIATOR:
            raise self._refused("_instantiator", instantiator, f"not {INSTANTIATOR}")
        hints: _Hints = {}
        if "_class_path" in hyper_parameters:
            method = self._resolve("_class_path", hyper_parameters["_class_path"])
            if not (isinstance(method, type) and issubclass(method, self._method)):
                raise self._refused("_class_path", hyper_parameters["_class_path"], "no method of clustering")
            hints = _hints_of(method.__init__)
            unknown = {name for name in hyper_parameters if not name.startswith("_")} - _argument_names(method)
            if unknown:
                raise self._refused("hyper_parameters", sorted(unknown)[0], f"no argument of {method.__name__}")
        for name, value in hyper_parameters.items():
            if not name.startswith("_"):
                self._check(name, value, hints.get(name))

    def _check(self, name: str, value: Any, hint: Any) -> None:
        if isinstance(value, Mapping):
            self._check_mapping(name, value, hint)
        elif isinstance(value, str):
            self._check_text(name, value, hint)
        elif isinstance(value, Sequence):
            for item in value:
                self._check(name, item, None)
        elif not (value is None or isinstance(value, (bool, int, float))):
            raise self._refused(name, type(value).__name__, "neither a number, a text, a list nor a mapping")

    def _check_mapping(self, name: str, value: Mapping[str, Any], hint: Any) -> None:
        if "class_path" not in value:
            fields = _dataclass_hints(hint)
            for key, item in value.items():
                self._check(f"{name}.{key}", item, fields.get(key))
            return
        if not value.keys() <= {"class_path", "init_args"} or not isinstance(value.get("init_args", {}), Mapping):
            raise self._refused(name, sorted(map(str, value)), "more than a class and its arguments")
        part = self._resolve(name, value["class_path"])
        if not (isinstance(part, type) and issubclass(part, _PARTS)):
            raise self._refused(name, value["class_path"], "no part of a model, such as an encoder or an optimizer")
        hints = _hints_of(part.__init__)
        for key, item in value.get("init_args", {}).items():
            self._check(f"{name}.{key}", item, hints.get(key))

    def _check_text(self, name: str, value: str, hint: Any) -> None:
        """Check a text, which could name a function, or hold a description that a parser would read."""
        if any(_is_callable(part) for part in _members(hint)):
            self._resolve(name, value, needs_trust=True)
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            return
        if isinstance(parsed, (dict, list)):
            raise self._refused(name, value[:60], "a text in place of a mapping")

    def _resolve(self, name: str, path: Any, *, needs_trust: bool = False) -> Any:
        if not isinstance(path, str) or "." not in path:
            raise self._refused(name, path, "no path of a class")
        root = path.partition(".")[0]
        if root not in self._trust and (needs_trust or not path.startswith(_SAFE)):
            raise InputError(
                f"{self._argument} names a checkpoint whose {name} is {path!r}, which is not of lightning_dc, "
                f"torch.optim or torch.nn; loading it would execute code of {root!r}. If you trust that, add "
                f"--trust {root} (in Python trust=[{root!r}])"
            )
        module, _, attribute = path.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise self._refused(name, path, f"nowhere to be found ({error})") from error
        return found

    def _refused(self, name: str, value: Any, reason: str) -> InputError:
        return InputError(
            f"{self._argument} names a checkpoint whose {name} is {value!r}, which is {reason}; give a checkpoint that "
            "lightning_dc has written"
        )


def _argument_names(cls: type) -> set[str]:
    """Return the arguments of a class and of its bases, to which a constructor may pass what it does not name."""
    constructors = [vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)]
    return {name for one in constructors for name in _parameters_of(one)}


def _parameters_of(function: Any) -> Collection[str]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C
        return ()


def _members(hint: Any) -> Iterator[Any]:
    """Yield the members of a union, or the hint itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for member in typing.get_args(hint):
            yield from _members(member)
    elif hint is not None:
        yield hint


def _is_callable(hint: Any) -> bool:
    return hint is Callable or typing.get_origin(hint) is collections.abc.Callable


def _dataclass_hints(hint: Any) -> _Hints:
    found = [_hints_of(member) for member in _members(hint) if dataclasses.is_dataclass(member)]
    return functools.reduce(operator.or_, map(dict, found), {})


def _hints_of(described: Any) -> _Hints:
    """Return types of arguments or fields by name; none where they cannot be told."""
    try:
        return typing.get_type_hints(described)
    except (NameError, TypeError):
        return {}
