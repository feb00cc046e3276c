"""Downloads that are whole or not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_dc.errors import InputError


def download(name: str, folder: Path, checksum: str, mirrors: Sequence[str]) -> None:
    """Get a file from the first mirror that has it.

    It is written to a temporary file, which moves into place once its checksum is right: an interrupted download leaves
    nothing that later passes for the file.

    Args:
        name: of the file, here and there.
        folder: where to put it; created where needed.
        checksum: algorithm and digest, as in ``md5:...`` or ``sha256:...``.
        mirrors: addresses of folders that have it, tried in turn.

    Raises:
        InputError: no mirror gave it, or the folder can't be written.
    """
    import pooch

    reasons = []
    for mirror in mirrors:
        fetcher = pooch.create(folder, mirror, registry={name: checksum}, retry_if_failed=2)
        try:
            fetcher.fetch(name, progressbar=True)
            return
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            reasons.append(f"{mirror}: {reason}")
    raise InputError(f"{name} could not be downloaded ({'; '.join(reasons)}); put the file into folder={str(folder)!r}")
