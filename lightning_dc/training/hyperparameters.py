"""Constructor arguments as plain configuration, so that a checkpoint can rebuild its model."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dc.errors import InputError


def as_config(value: Any, name: str = "value") -> Any:
    """Describe an argument in primitives, in the form that the command line reads.

    Args:
        value: numbers, strings, lists, mappings, dataclasses, classes, ``functools.partial`` of a class, functions
            that can be imported, and objects that keep their constructor arguments as attributes of the same names, as
            schedules, augmentations and loss terms do.
        name: name of the argument in error messages.

    Returns:
        Numbers, strings, lists and dictionaries; components as ``{"class_path": ..., "init_args": ...}``.

    Raises:
        InputError: the value cannot be described, a lambda for example.

    Example:
        >>> as_config(functools.partial(dict, lr=0.1))
        {'class_path': 'builtins.dict', 'init_args': {'lr': 0.1}}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: as_config(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, Sequence):
        return [as_config(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, type):
        return {"class_path": _import_path(value, name)}
    if isinstance(value, functools.partial):
        function = _called_function(value, name)
        return {"class_path": _import_path(function, name), "init_args": as_config(value.keywords, name)}
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: as_config(getattr(value, field.name), f"{name}.{field.name}") for field in fields}
    if inspect.isfunction(value):
        return _import_path(value, name)
    return _describe_object(value, name)


def describe_arguments(cls: type, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the arguments of a constructor, defaults included, in the form that the command line reads.

    Arguments that a constructor takes as ``*args`` and ``**kwargs`` are those of the next constructor in the order of
    the base classes.

    Args:
        cls: the class.
        args: positional arguments.
        kwargs: arguments by name.

    Raises:
        InputError: one cannot be described.
    """
    arguments: dict[str, Any] = {}
    is_first = True
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        signature = inspect.signature(vars(base)["__init__"])
        bound = signature.bind_partial(None, *args, **kwargs)
        if is_first:
            bound.apply_defaults()
        is_first, args, kwargs = False, (), {}
        for parameter in list(signature.parameters.values())[1:]:
            if parameter.kind is parameter.VAR_POSITIONAL:
                args = bound.arguments.get(parameter.name, ())
            elif parameter.kind is parameter.VAR_KEYWORD:
                kwargs = bound.arguments.get(parameter.name, {})
            elif parameter.name in bound.arguments:
                arguments[parameter.name] = bound.arguments[parameter.name]
        if not args and not kwargs:
            break
    return {name: as_config(value, f"{cls.__name__}.{name}") for name, value in arguments.items()}


def _describe_object(value: Any, name: str) -> dict[str, Any]:
    """Describe an object whose class keeps its constructor arguments as attributes of the same names."""
    try:
        parameters = inspect.signature(type(value)).parameters.values()
    except (TypeError, ValueError):  # a class written in C
        raise _description_error(value, name) from None
    # A module without a constructor of its own has the *args and **kwargs of nn.Module.
    arguments = [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if type(value).__module__ == "builtins" or not all(hasattr(value, argument) for argument in arguments):
        raise _description_error(value, name)
    init_args = {argument: as_config(getattr(value, argument), f"{name}.{argument}") for argument in arguments}
    return {"class_path": _import_path(type(value), name), "init_args": init_args}


def _called_function(value: functools.partial[Any], name: str) -> Callable[..., Any]:
    """Return the function that a partial calls; jsonargparse makes partials of a helper that takes the class last."""
    if value.args and value.func.__module__.startswith("jsonargparse."):
        return value.args[-1]  # type: ignore[no-any-return]
    if value.args:
        raise _description_error(value, name)
    return value.func


def _import_path(value: Callable[..., Any], name: str) -> str:
    path = f"{value.__module__}.{value.__qualname__}"
    if "<" in path:
        raise _description_error(value, name)
    return path


def _description_error(value: Any, name: str) -> InputError:
    return InputError(
        f"{name} is {value!r}, which no checkpoint can describe; give a class, functools.partial(Class, argument=...), "
        "or an object that keeps its constructor arguments as attributes of the same names"
    )
