"""Tests that a run that is killed at any moment leaves a checkpoint that can be loaded."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from tests.helpers.command_line import QUICK
from tests.helpers.processes import run_command, started


@pytest.mark.slow
def test_the_last_checkpoint_loads_after_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lightning_dc", "fit", "--config", "dec_digits", *QUICK]
    # Epochs take a few milliseconds, so about half of the kills come while a checkpoint is written.
    command += ["--model.clustering.max_steps=1000000", "--model.refresh.tolerance=0", "--data.batch_size=1797"]
    command += ["--trainer.enable_progress_bar=false"]
    for attempt in range(4):
        checkpoint = tmp_path / f"runs/dec_digits/version_{attempt}/checkpoints/last.ckpt"
        with (tmp_path / "output.txt").open("w") as output, started(command, tmp_path, output) as process:
            deadline = time.monotonic() + 120
            while not checkpoint.exists() and time.monotonic() < deadline:
                assert process.poll() is None, (tmp_path / "output.txt").read_text()
                time.sleep(0.02)
            time.sleep(0.37 * attempt)
        state = torch.load(checkpoint, weights_only=True)
        assert state["global_step"] > 0
        assert state["lightning_dc"]["method"] == "DEC"
    resume = [*command, "--ckpt_path", str(checkpoint), "--model.clustering.max_steps", str(state["global_step"])]
    assert "ACC" in run_command(resume, tmp_path)
