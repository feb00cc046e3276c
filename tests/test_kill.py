"""A run that is killed at any moment leaves a checkpoint that loads."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.test_cli import QUICK


@pytest.mark.slow
def test_the_last_checkpoint_loads_after_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lightning_dc", "fit", "--config", "dec_digits", *QUICK]
    # Epochs of a few milliseconds: the kill comes while a checkpoint is written as often as not.
    command += ["--model.clustering.max_steps=1000000", "--model.tolerance=0", "--trainer.enable_progress_bar=false"]
    command += ["--data.batch_size=1797"]
    for attempt in range(4):
        checkpoint = tmp_path / f"runs/dec_digits/version_{attempt}/checkpoints/last.ckpt"
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr
            time.sleep(0.02)
        time.sleep(0.37 * attempt)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        state = torch.load(checkpoint, weights_only=True)
        assert state["global_step"] > 0
        assert state["lightning_dc"]["method"] == "DEC"
    resume = [*command, "--ckpt_path", str(checkpoint), "--model.clustering.max_steps", str(state["global_step"])]
    done = subprocess.run(resume, cwd=tmp_path, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ACC" in done.stdout
