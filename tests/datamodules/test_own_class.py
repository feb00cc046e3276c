"""A DataModule of the user in the folder where the installed command is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import numpy as np

from datamodules import ClusteringDataModule, Samples


class CellData(ClusteringDataModule):
    def __init__(self, path: str, batch_size: int = 256) -> None:
        super().__init__(batch_size=batch_size, scaling="standard")
        self.path = path

    def load(self) -> Samples:
        return Samples(x=np.load(self.path))
"""
FLAGS = (
    "--model=DEC",
    "--model.n_clusters=3",
    "--model.autoencoder=MLPAutoencoder",
    "--model.autoencoder.hidden_dims=[8]",
    "--model.autoencoder.latent_dim=2",
    "--model.pretraining.max_steps=2",
    "--model.clustering.max_steps=2",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
)


@pytest.mark.slow
def test_the_command_finds_a_class_in_the_folder_where_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "my_data.py").write_text(CODE)
    (tmp_path / "numpy.py").write_text("raise ImportError('a module of the user took the place of a library')")
    np.save(tmp_path / "cells.npy", np.random.default_rng(0).normal(size=(60, 4)))
    command = "import sys; from lightning_dc.cli import main; main(sys.argv[1:])"  # as the installed script does
    data = ("--data=my_data.CellData", "--data.path=cells.npy")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for arguments in (
        ("fit", *FLAGS, *data),
        ("predict", *data, "--ckpt_path=runs/run/version_0/checkpoints/last.ckpt"),
    ):
        # -P leaves the folder out of sys.path, in which a script of another folder would not have it either
        line = (sys.executable, "-P", "-c", command, *arguments)
        run = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "predictions.parquet").is_file()
