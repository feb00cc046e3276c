"""Errors of jsonargparse as one line that says what is wrong, and what the user may have meant."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning_dc.cli.config_files import read_config
from lightning_dc.cli.flags import SUBCOMMANDS, split_configs
from lightning_dc.cli.suggestions import close_class, close_options, close_sections

_SEE = "(see lightning-dc fit --help, or --model.help DEC)"
_UNKNOWN_OPTION = re.compile(
    r"unrecognized arguments: --(?P<flag>[^\s=]+)"
    r"|Subcommand '\w+' does not accept option '(?P<key>[^']+)'"
    r"|Group '(?P<group>[^']+)' does not accept option '(?P<member>[^']+)'"
    r"|Option '(?P<option>[^']+)' is not accepted"
)
_REQUIRED = re.compile(r"arguments are required: (?P<names>.*)")
_WITHOUT_VALUE = re.compile(r"argument [^:\s]+: expected one argument")
_KEY = re.compile(r'Parser key "([^"]+)"')
_UNKNOWN_CLASS = re.compile(r"Expected a dot import path string: (?P<name>[\w.]+)")
_UNKNOWN_ATTRIBUTE = re.compile(r"module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'")
_REASON = re.compile(r"Problem with given class_path '[^']+':\s*(?P<one>[^\n]+)|(?P<other>No module named '[\w.]+')")
_EXPECTED = re.compile(r"Expected a (?:<class '(?P<type>[\w.]+)'>|typing\.Literal\[(?P<values>[^\]]*)\])")
_GIVEN = re.compile(r"Given value: (?P<one>.*)|Got value: (?P<other>.*)")
_NOISE = re.compile(r"Does not validate|Subtypes:|Errors:|- Expected a <class 'NoneType'>|Given value")
_NOT_OWN = ("help", "print_shtab", "input_shape", "target_spec", "feature_groups")  # three follow from the data
_WORDS = {"NoneType": "null", "collections.abc.Iterable": "list", "int": "integer", "float": "number", "str": "text"}


class _Place(NamedTuple):
    """Where the user has named something: a flag, or a key of a file."""

    source: str
    prefix: str


def explain(message: str, options: Sequence[str], given: Sequence[str]) -> str:
    """Return an error of the parser as one line.

    Args:
        message: message of jsonargparse, of many lines.
        options: names of all options of the parser that complains; that of an inner argument knows the part of a name
            below this argument only.
        given: all arguments of the command.
    """
    found = _UNKNOWN_OPTION.search(message)
    if found is not None:
        return _explain_option(found, options, given)
    required = _REQUIRED.search(message)
    if required is not None:
        names = [f"--{_whole_name(name)}" for name in required["names"].split(", ")]
        return f"{', '.join(names)} must be given, or a configuration that has them, with --config {_SEE}"
    if _WITHOUT_VALUE.search(message):  # which names an option above the one that is meant
        empty = [flag for flag, following in itertools.pairwise([*given, "--"]) if _lacks_value(flag, following)]
        if empty:
            return f"{empty[0]} has no value; write one after it {_SEE}"
    key = _KEY.search(message)
    unknown = _UNKNOWN_ATTRIBUTE.search(message) or _UNKNOWN_CLASS.search(message)
    name = "" if unknown is None else ".".join(unknown.groups())
    if name and name in message:  # which an error within a file of the user's own is not
        return _explain_class(name, key[1] if key is not None else "", given)
    expected, found_value = list(_EXPECTED.finditer(message)), _GIVEN.search(message)
    if key is not None and found_value is not None:
        value, reason = (found_value["one"] or found_value["other"] or "").strip(), _REASON.search(message)
        if reason is not None:
            return _explain_import(key[1], value, reason["one"] or reason["other"], given)
        if expected:
            return _explain_value(key[1], expected, value, given)
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not _NOISE.match(line)]
    short = re.sub(r"\. Got value: Namespace\(.*", "", " ".join(kept))
    return f"{short} {_SEE}"


def _whole_name(name: str) -> str:
    """Return the name of a required option, of which a message tells the subcommand or the last part only."""
    subcommand, _, rest = name.partition(".")
    if subcommand in SUBCOMMANDS:
        return rest
    return next(iter(close_sections(name)), name)


def _lacks_value(flag: str, following: str) -> bool:
    takes_none = flag.startswith("--print_") or flag.endswith("help") or "=" in flag
    return flag.startswith("--") and following.startswith("--") and not takes_none


def _explain_option(found: re.Match[str], options: Sequence[str], given: Sequence[str]) -> str:
    name = found["flag"] or found["key"] or found["option"] or f"{found['group']}.{found['member']}"
    source, prefix = _place(name, given)
    section = prefix.partition(".")[0]
    if source == "--" and section in ("model", "data") and not _is_named_before(section, f"--{prefix}{name}", given):
        return (
            f"--{prefix}{name} has no class yet; write --{section} CLASS, or --config with a configuration, before it"
        )
    close = close_options(name, options) or ([] if prefix else close_sections(name))
    start = f"{source if source == '--' else ''}{prefix}"
    own = [option for option in options if "." not in option and option not in _NOT_OWN]
    if close:
        meant = f"; did you mean {' or '.join(f'{start}{one}' for one in close)}?"
    elif prefix and own:
        meant = f"; choose from {', '.join(own)}"
    else:
        meant = f" {_SEE}"
    return f"{source}{prefix}{name} is no option{meant}"


def _explain_class(name: str, key: str, given: Sequence[str]) -> str:
    source, prefix = _place(key, given)
    close = close_class(name)
    if close is not None:
        meant = f"did you mean {close}?"
    else:
        own = f"my_file.{name.rpartition('.')[2]}"
        meant = f"give the name of a class, or the import path of your own, such as {own} {_SEE}"
    where = f"{source}{prefix}{key}: " if key else ""
    return f"{where}there is no class {name}; {meant}"


def _explain_import(key: str, value: str, reason: str, given: Sequence[str]) -> str:
    source, prefix = _place(key, given)
    remedy = "mend the file, call the command in its folder, or install the package"
    return f"{source}{prefix}{key}: {value} can't be imported ({reason}); {remedy}"


def _explain_value(key: str, expected: Sequence[re.Match[str]], value: str, given: Sequence[str]) -> str:
    source, prefix = _place(key, given)
    if not value:
        return f"{source}{prefix}{key} is empty; give a value {_SEE}"
    kinds = [kind["values"] or _WORDS.get(kind["type"], kind["type"]) for kind in expected]
    return f"{source}{prefix}{key}={value} is not possible; give {' or '.join(dict.fromkeys(kinds))} {_SEE}"


def _place(name: str, given: Sequence[str]) -> _Place:
    """Return where the user has named an option that an inner parser knows by the last part of its name only."""
    configs, flags = split_configs(given)
    wholes = [flag.partition("=")[0][2:].removesuffix(".class_path") for flag in flags if flag.startswith("--")]
    named = [whole for whole in wholes if _ends_with(whole, name)]
    if named:
        return _Place("--", min(named, key=len).removesuffix(name))
    for config in reversed(configs[1::2]):
        if Path(config).is_file():
            for whole in _paths(read_config(config)):
                if _ends_with(whole, name):
                    return _Place(f"{config}: ", whole.removesuffix(name))
    return _Place("", "")


def _is_named_before(section: str, option: str, given: Sequence[str]) -> bool:
    """Return whether the class of the model or the data, or a configuration, stands before one of its arguments."""
    names = [argument.partition("=")[0] for argument in given]
    before = itertools.takewhile(lambda name: not name.startswith(option), names)
    classes = {f"--{section}", f"--{section}.class_path", "--config", "-c"}
    return not classes.isdisjoint(before) or "--ckpt_path" in names


def _ends_with(whole: str, name: str) -> bool:
    return whole == name or whole.endswith(f".{name}")


def _paths(described: Any) -> Iterator[str]:
    """Yield the names of all keys of a configuration, with those above them before a dot."""
    if isinstance(described, Mapping):
        for key, value in described.items():
            yield str(key)
            yield from (f"{key}.{inner}" for inner in _paths(value))
