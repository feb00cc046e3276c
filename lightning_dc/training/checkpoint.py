"""Checkpoints as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lightning_dc.errors import InputError


def read_checkpoint(path: str | Path, argument: str) -> dict[str, Any]:
    """Read a checkpoint of lightning_dc, on the CPU; nothing in it is run.

    Args:
        path: the file.
        argument: what error messages call it.

    Raises:
        InputError: there is no such file, or it can't be read as a checkpoint.
    """
    if not Path(path).is_file():
        raise InputError(f"{argument}={str(path)!r} is no file; give the path of a checkpoint")
    try:
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        missing = {"hyper_parameters", "state_dict"} - checkpoint.keys()
    except Exception as error:  # damaged files make the zip reader and the unpickler fail in many ways
        raise InputError(f"{argument}={str(path)!r} can't be read as a checkpoint ({type(error).__name__})") from error
    if missing:
        named = ", ".join(sorted(missing))
        raise InputError(f"{argument}={str(path)!r} can't be read as a checkpoint (it has no {named})")
    return checkpoint
