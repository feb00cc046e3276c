"""The command line, ``lightning-dc``."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence

from lightning_dc.cli import select
from lightning_dc.cli.fit import ClusteringCLI
from lightning_dc.cli.flags import with_shipped_configs
from lightning_dc.errors import InputError


def main(args: Sequence[str] | None = None) -> None:
    """Run ``lightning-dc``.

    Args:
        args: arguments after the program's name; None takes those of the process.

    Raises:
        SystemExit: with code 2 after a user's slip, which is printed in one line.
    """
    _quieten()
    try:
        args = sys.argv[1:] if args is None else args
        if args and args[0] == "select":
            select.select(args[1:], _fit)
        else:
            _fit(args)
    except Exception as error:
        slip = _input_error(error)
        if slip is None:
            raise
        sys.stderr.write(f"lightning-dc: error: {slip}\n")
        raise SystemExit(2) from None


def _fit(args: Sequence[str]) -> None:
    ClusteringCLI(with_shipped_configs(args))


def _input_error(error: BaseException | None) -> InputError | None:
    """The user's slip behind an error; jsonargparse wraps what constructors raise."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error


def _quieten() -> None:
    """Leave out what a user can do nothing about."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    for message in (
        ".*smaller than the logging interval.*",
        ".*callbacks used to create the checkpoint need to be provided.*",  # only fit has use for them
        ".*The dirpath has changed.*",  # a resumed run has a folder of its own
        ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning's own
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "litlogger" not in str(record.msg)
    )
