"""The parser of the command line, whose errors are one line with a remedy."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_only

from lightning_dc.cli.explanations import explain
from lightning_dc.training.own_defaults import own_defaults

given: ContextVar[Sequence[str]] = ContextVar("given", default=())
"""Arguments of the command that is parsed; parsers of inner arguments see a part of a name only."""


class OneLineParser(LightningArgumentParser):
    """Parser that prints an error in one line, without the usage of three hundred options before it.

    Options cannot be abbreviated: the command line looks for some of them before they are parsed.
    """

    _has_told = False  # what the first pass over the arguments tells is not told again

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        with own_defaults() as messages:
            try:
                return super().parse_args(*args, **kwargs)
            finally:
                self._tell(messages)

    @rank_zero_only
    def _tell(self, messages: Sequence[str]) -> None:
        if not self._has_told:
            sys.stderr.writelines(f"lightning-dc: warning: {message}\n" for message in messages)
        self._has_told = True

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        sys.stderr.write(f"lightning-dc: error: {explain(message, _option_names(self), given.get())}\n")
        raise SystemExit(2)


def _option_names(parser: argparse.ArgumentParser) -> list[str]:
    """Return the names of all options of a parser, those of its subcommand among them."""
    names = [flag[2:] for action in parser._actions for flag in action.option_strings if flag.startswith("--")]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            names += [name for inner in action.choices.values() for name in _option_names(inner)]
    return [name for name in dict.fromkeys(names) if not re.search(r"\.help$|\+$", name)]
