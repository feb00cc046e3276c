"""Checkpoints that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.strategies import Strategy

from lightning_dc.files import whole_file


def write_whole_checkpoints(strategy: Strategy) -> None:
    """Let a strategy write checkpoints whole or not at all, unless the user has chosen a way to write them.

    Args:
        strategy: strategy of the Trainer.
    """
    if type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = WholeCheckpointIO()


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it when it is on the disk.

    Lightning writes to the folder of temporary files and moves the file from there; where that is another file system,
    it copies over the only good checkpoint. Checkpoints on remote storage are left to Lightning.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with whole_file(Path(path)) as file:
            torch.save(checkpoint, file)
