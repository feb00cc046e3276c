"""The command line, ``lightning-dc``."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence

from lightning_dc.cli import select
from lightning_dc.cli.completion import print_completion
from lightning_dc.cli.fit import ClusteringCLI
from lightning_dc.cli.flags import with_home_folders, with_shipped_configs
from lightning_dc.cli.help import COMMANDS, OVERVIEW
from lightning_dc.cli.refusals import find_input_error
from lightning_dc.cli.suggestions import close_to
from lightning_dc.configs import print_configs
from lightning_dc.errors import InputError
from lightning_dc.version import __version__


def main(args: Sequence[str] | None = None) -> None:
    """Run ``lightning-dc``.

    Args:
        args: arguments after the program's name; None takes those of the process.

    Raises:
        SystemExit: with code 2 after an error of the user, which is printed in one line.
    """
    _hide_warnings()
    _import_from_working_directory()
    try:
        _run(with_home_folders(sys.argv[1:] if args is None else args))
    except Exception as error:
        input_error = find_input_error(error)
        if input_error is None:
            raise
        sys.stderr.write(f"lightning-dc: error: {input_error}\n")
        raise SystemExit(2) from None


def _run(args: list[str]) -> None:
    if args == ["--version"]:
        print(f"lightning-dc {__version__}")
    elif args[:1] == ["configs"]:
        _configs(args[1:])
    elif args[:1] == ["select"]:
        select.select(args[1:], _fit)
    elif args[:1] == ["completion"]:
        print_completion(args[1:], _fit)
    elif not args or args[0] in ("-h", "--help"):
        print(OVERVIEW, end="")
    elif not args[0].startswith("-") and args[0] not in COMMANDS:
        close = close_to(args[0], COMMANDS)
        meant = f"did you mean {close}?" if close is not None else f"choose from {', '.join(COMMANDS)}"
        raise InputError(f"there is no command {args[0]!r}; {meant}")
    else:
        _fit(args)


def _configs(args: Sequence[str]) -> None:
    if args and args[0] not in ("-h", "--help"):
        raise InputError(
            f"configs has no argument {args[0]!r}; lightning-dc configs lists the shipped configurations, and "
            "lightning-dc fit --config NAME --print_config prints one"
        )
    print_configs()


def _fit(args: Sequence[str]) -> None:
    ClusteringCLI(with_shipped_configs(args))


def _import_from_working_directory() -> None:
    """Let classes beside the user be imported, such as ``my_data.CellData``, as Python does for scripts there.

    The folder comes last, so that no module in it takes the place of another.
    """
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)


def _hide_warnings() -> None:
    """Hide warnings and messages that a user cannot act on."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    for message in (
        ".*smaller than the logging interval.*",
        ".*callbacks used to create the checkpoint need to be provided.*",  # only fit needs them
        ".*The dirpath has changed.*",  # a resumed run has a folder of its own
        ".*isinstance\\(treespec, LeafSpec\\).*",  # by Lightning's own code
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "litlogger" not in str(record.msg)
    )
