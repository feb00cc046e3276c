"""Scripts by which shells complete the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from jsonargparse import set_parsing_settings

from lightning_dc.errors import InputError

_SHELLS = ("bash", "zsh", "tcsh")


def print_completion(args: Sequence[str], run: Callable[[list[str]], None]) -> None:
    """Print the script of a shell.

    Args:
        args: arguments after ``completion``.
        run: function that runs ``lightning-dc`` with arguments.

    Raises:
        InputError: the shell is unknown, or shtab is not installed, which writes the scripts.
    """
    if len(args) != 1 or args[0] not in _SHELLS:
        raise InputError(f"completion needs the name of one shell: lightning-dc completion {'|'.join(_SHELLS)}")
    if find_spec("shtab") is None:
        raise InputError("completion needs the package shtab; install it with: pip install shtab")
    set_parsing_settings(add_print_completion_argument=True)
    try:
        run(["--print_completion", f"shtab-{args[0]}"])
    finally:
        set_parsing_settings(add_print_completion_argument=False)
