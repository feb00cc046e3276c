"""Errors that are the user's and not the program's, among those that libraries raise."""

from __future__ import annotations

import linecache
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from lightning_dc.errors import InputError

_KINDS = (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError)
_LIGHTNING = ("lightning", "lightning_utilities", "contextlib", "torch")  # torch for its decorators
_LIBRARIES = (*_LIGHTNING, "lightning_dc", "datamodules", "jsonargparse", "numpy", "scipy", "yaml")
_MISSING = re.compile(r"Problem with given class_path '(?P<path>[^']+)':\s*(?P<reason>[^\n]*pip install[^\n]*)")
_ASKING = ("lightning_dc.cli", "jsonargparse")
_RESTORE = "lightning.pytorch.trainer.connectors.checkpoint_connector"
_RESTORE_DATA = "load_preprocessing_state"
_SAVE = "dump_checkpoint"  # of the same module of Lightning


def find_input_error(error: BaseException | None) -> InputError | None:
    """Return the error of the user in a chain of errors; None if it is a fault of the program.

    An error of the user is an :class:`InputError`, which jsonargparse wraps where a constructor raises it; an error
    that Lightning raises itself about what the command line gives it, such as an accelerator that there is not; and
    any error of a library while a checkpoint is restored, which then is damaged.
    """
    for one in _chain(error):
        if isinstance(one, InputError):
            return one
    for one in _chain(error):
        missing = _MISSING.search(str(one))
        if isinstance(one, ValueError) and missing is not None:
            return InputError(f"{missing['path']} needs a package that is not installed: {missing['reason']}")
        frames = list(traceback.walk_tb(one.__traceback__))
        if isinstance(one, _KINDS) and _is_refused_by_lightning(frames):
            return InputError(f"{_in_one_line(one)} (see lightning-dc fit --help)")
        is_of_memory = isinstance(one, MemoryError | torch.OutOfMemoryError)
        if isinstance(one, Exception) and not is_of_memory and _is_of_a_checkpoint([frame for frame, _ in frames]):
            return InputError(
                f"ckpt_path names a checkpoint that can't be restored ({type(one).__name__}: {_in_one_line(one)}); it "
                "is damaged or of another version, or flags change the optimizer of its phase; give another one, or "
                "leave these flags out"
            )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_refused_by_lightning(frames: Sequence[tuple[FrameType, int]]) -> bool:
    """Return whether a statement ``raise`` of Lightning ended a call from the command line, with no code in between.

    What Lightning raises below a training step or a callback of this project or of the user is an error of that code.
    """
    modules = [_module(frame) for frame, _ in frames]
    if not modules or not _is_in(modules[-1], _LIGHTNING[:2]):
        return False
    last, line = frames[-1]
    if not linecache.getline(last.f_code.co_filename, line).lstrip().startswith("raise"):
        return False
    others = [module for module in modules if not _is_in(module, _LIGHTNING)]
    return not others or others[-1].startswith(_ASKING)


def _is_of_a_checkpoint(frames: Sequence[FrameType]) -> bool:
    """Return whether libraries alone were restoring a checkpoint, since code of the user may fail for other reasons."""
    names = [one.f_code.co_name for one in frames]
    if _SAVE in names:
        return False
    restoring = [i for i, one in enumerate(frames) if _module(one) == _RESTORE or names[i] == _RESTORE_DATA]
    known = (*_LIBRARIES, *sys.stdlib_module_names)
    return bool(restoring) and all(_is_in(_module(frame), known) for frame in frames[restoring[0] :])


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_in(module: str, packages: Sequence[str]) -> bool:
    return module.partition(".")[0] in packages


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
