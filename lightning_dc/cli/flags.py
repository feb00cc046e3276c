"""Changes to arguments of the command line before they are parsed."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_dc.cli.config_files import read_config
from lightning_dc.cli.suggestions import close_to
from lightning_dc.configs import find_config, shipped_configs
from lightning_dc.errors import InputError
from lightning_dc.methods import KMeansConfig, RefreshConfig
from lightning_dc.training import PhaseConfig

SUBCOMMANDS = ("fit", "validate", "test", "predict")
"""Commands that are those of LightningCLI."""

_SETTING = re.compile(r"--model\.(?:init_args\.)?(?P<settings>\w+)\.(?P<argument>\w+)")
_LOSS_WEIGHT = re.compile(r"--model\.(?:init_args\.)?(?P<phase>\w+)\.loss_weights\.\w")
_HOME = re.compile(r"^(--[\w.]+=)~/")
_NULLS = ("null", "Null", "NULL", "~")
_OPTIONAL = {
    argument.name
    for settings in (PhaseConfig, KMeansConfig, RefreshConfig)
    for argument in dataclasses.fields(settings)
    if argument.default is None
}


def with_shipped_configs(args: Sequence[str]) -> list[str]:
    """Replace names of shipped configurations by their paths.

    Raises:
        InputError: a configuration is neither a file nor a shipped one, or its name stands without ``--config``.
    """
    if args and args[0].startswith("-") and not args[0].startswith("--print_"):
        raise InputError(f"there is no command before {args[0]}; write lightning-dc fit {shlex.join(args)}")
    if len(args) > 1 and args[0] in SUBCOMMANDS and not args[1].startswith("-"):
        _refuse_alone(args[1], args[0])
    if args and args[-1] in ("--config", "-c"):
        raise InputError(f"{args[-1]} needs the name of a shipped configuration, or a file")
    resolved: list[str] = []
    for arg in args:
        name, equals, value = arg.partition("=")
        if resolved and resolved[-1] in ("--config", "-c"):
            resolved.append(_checked_config(arg))
        elif name == "--config" and equals:
            resolved += ["--config", _checked_config(value)]
        else:
            resolved.append(arg)
    return resolved


def _refuse_alone(word: str, command: str) -> None:
    """Refuse a word without an option before it, which most often is the name of a configuration."""
    is_config = word in shipped_configs() or word.endswith((".yaml", ".yml"))
    close = word if is_config else close_to(word, shipped_configs())
    if close is None:
        raise InputError(f"{word!r} stands alone, without an option before it (see lightning-dc {command} --help)")
    of = "is a configuration; write" if is_config else "stands alone, without an option before it; did you mean"
    raise InputError(f"{word} {of} lightning-dc {command} --config {close}{'' if is_config else '?'}")


def _checked_config(name: str) -> str:
    path = find_config(name)
    read_config(path)  # for its errors
    return str(path)


def check_checkpoint_is_named(args: Sequence[str]) -> None:
    """Check that a subcommand that applies a model has a checkpoint, or a configuration that may name one.

    Raises:
        InputError: it has neither.
    """
    configs, flags = split_configs(args[1:])
    asks_only = any(re.match(r"-h$|--help$|--print_config|--[\w.]+\.help", flag) for flag in flags)
    applies = bool(args) and args[0] in ("validate", "test", "predict")
    if applies and not configs and not asks_only and value_of("--ckpt_path", flags) is None:
        raise InputError(needs_checkpoint(args[0]))


def needs_checkpoint(subcommand: str | None) -> str:
    """Return the message for a subcommand that applies a model and has none."""
    return (
        f"{subcommand} needs a trained model; add --ckpt_path with the checkpoint of a fit, such as --ckpt_path "
        "runs/NAME/version_0/checkpoints/last.ckpt"
    )


def with_home_folders(args: Sequence[str]) -> list[str]:
    """Replace ``~/`` in ``--option=~/path`` by the home folder, as shells do only for an argument of its own.

    Example:
        >>> path, null = with_home_folders(["--data.path=~/x.csv", "--model.nu=~"])
        >>> path == f"--data.path={Path.home()}/x.csv", null
        (True, '--model.nu=~')
    """
    return [_HOME.sub(lambda found: f"{found[1]}{Path.home()}/", arg) for arg in args]


def with_nulls_of_settings(args: Sequence[str]) -> list[str]:
    """Write a null for an optional setting of a phase, of k-means or of refreshes as a mapping.

    jsonargparse (4.53) passes a value to the parser of the inner argument as text, and the text of None is not a null.

    Example:
        >>> with_nulls_of_settings(["fit", "--model.pretraining.lr_schedule", "null", "--model.joint.dropout=null"])
        ['fit', '--model.pretraining={lr_schedule: null}', '--model.joint.dropout=null']
    """
    joined: list[str] = []
    for arg in args:
        if arg in _NULLS and joined and _SETTING.fullmatch(joined[-1]):
            joined[-1] += f"={arg}"
        else:
            joined.append(arg)
    return [_as_mapping(arg) for arg in joined]


def with_lengths_in_epochs(args: Sequence[str]) -> list[str]:
    """Let a flag for the epochs of a phase take back a length in steps, which a configuration may have.

    Example:
        >>> with_lengths_in_epochs(["fit", "--model.pretraining.max_epochs=0"])
        ['fit', '--model.pretraining.max_epochs=0', '--model.pretraining={max_steps: null}']
    """
    settings = [(_SETTING.match(arg.partition("=")[0]), arg) for arg in args]
    in_steps = {found["settings"] for found, _ in settings if found and found["argument"] == "max_steps"}
    in_epochs = [found["settings"] for found, _ in settings if found and found["argument"] == "max_epochs"]
    changed = [name for name in dict.fromkeys(in_epochs) if name not in in_steps]
    return [*args, *(f"--model.{name}={{max_steps: null}}" for name in changed)]


def _as_mapping(arg: str) -> str:
    """Return an argument that sets an optional setting to null as a mapping, and any other argument unchanged."""
    name, _, value = arg.partition("=")
    found = _SETTING.fullmatch(name)
    if found is None or value not in _NULLS or found["argument"] not in _OPTIONAL:
        return arg
    return f"--model.{found['settings']}={{{found['argument']}: null}}"


def split_configs(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split arguments into those of configuration files and all others."""
    configs: list[str] = []
    flags: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg in ("--config", "-c"):
            configs += [arg, next(rest)]
        else:
            flags.append(arg)
    return configs, flags


def value_of(name: str, flags: Sequence[str]) -> str | None:
    """Return the value of a flag, the last one if it is given twice; None if it is not given."""
    value = None
    for flag, following in zip(flags, [*flags[1:], ""], strict=False):
        if flag == name:
            value = following
        elif flag.startswith(f"{name}="):
            value = flag.removeprefix(f"{name}=")
    return value


def phases_with_a_loss_weight(flags: Sequence[str]) -> list[str]:
    """Return the phases in which a flag sets the weight of a single loss term.

    Example:
        >>> phases_with_a_loss_weight(["--model.joint.loss_weights.task=2", "--model.clustering.loss_weights={kl: 1}"])
        ['joint']
    """
    found = [match["phase"] for match in map(_LOSS_WEIGHT.match, flags) if match is not None]
    return list(dict.fromkeys(found))


def run_name(args: Sequence[str]) -> str:
    """Return the name of a run: the name of its last configuration file, or ``run`` without one.

    Example:
        >>> run_name(["fit", "--config", "configs/dec_digits.yaml", "--config", "mine.yaml"])
        'mine'
    """
    configs, _ = split_configs(args)
    files = [Path(value) for value in configs[1::2] if value.endswith((".yaml", ".yml"))]
    return files[-1].stem if files else "run"


def trusted_packages(args: Sequence[str]) -> set[str]:
    """Return the packages that a user trusts: those of ``--trust``, and those whose classes the user names.

    Args:
        args: arguments of a subcommand; configuration files among them are read.

    Example:
        >>> sorted(trusted_packages(["--model=own.Method", "--trust", "[mine, yours]", "--data.path", "x.csv"]))
        ['mine', 'own', 'yours']
    """
    configs, flags = split_configs(args)
    named = [value for flag in ("--model", "--data") if (value := value_of(flag, flags)) is not None]
    trust = value_of("--trust", flags) or "[]"
    try:
        named += _listed(yaml.safe_load(trust))
    except yaml.YAMLError as error:
        raise InputError(
            f"trust={trust!r} is no list of packages; write --trust mine or --trust '[mine, yours]'"
        ) from error
    for value in configs[1::2]:
        described = read_config(value) if Path(value).is_file() else yaml.safe_load(value)
        named += _listed(described.get("trust")) if isinstance(described, Mapping) else []
        named += _class_paths(described)
    return {name.partition(".")[0] for name in named}


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(map(str, names or ()))


def _class_paths(described: Any) -> list[str]:
    """Return all class paths in a configuration, at any depth."""
    if isinstance(described, list):
        return [path for item in described for path in _class_paths(item)]
    if not isinstance(described, Mapping):
        return []
    own = described.get("class_path")
    inner = [path for value in described.values() for path in _class_paths(value)]
    return [own, *inner] if isinstance(own, str) else inner
