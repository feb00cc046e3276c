"""Damaged files, and their allowed results."""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import strategies as st

from datamodules import ClusteringDataModule
from lightning_dc.errors import InputError


def damaged(data: st.DataObject, content: bytes) -> bytes:
    """Return the bytes of a file with some of them changed, or cut off."""
    changed = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        changed[place] = data.draw(st.integers(0, 255))
    return bytes(changed[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else changed)


def read_or_refuse(data: ClusteringDataModule, path: Path) -> None:
    """Load a file; the only error allowed is one line that names the file.

    If there are too few samples to split, the error names the argument instead.
    """
    try:
        data.setup("fit")
        assert bool(torch.isfinite(data.train_dataloader().read(0, 1 << 30).x).all())
    except InputError as error:
        message = str(error)
        assert "\n" not in message
        assert str(path) in message or "val_fraction=" in message
