"""Downloads that leave a whole file or none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_dc.errors import InputError


def download(name: str, folder: Path, checksum: str, mirrors: Sequence[str]) -> None:
    """Download a file from the first mirror that has it.

    The file is written under a temporary name and moves into place once its checksum is right, so that an interrupted
    download leaves nothing that could later be taken for the file.

    Args:
        name: name of the file, on the mirrors and in the folder.
        folder: folder for the file; it is created if it does not exist.
        checksum: algorithm and digest, as in ``md5:...`` or ``sha256:...``.
        mirrors: addresses of folders that have the file, tried in turn.

    Raises:
        InputError: no mirror returned the file, or the folder cannot be written.
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
