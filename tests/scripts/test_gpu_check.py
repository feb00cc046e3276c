"""A rehearsal of the check of a GPU, on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts"
PARTS = ["functions", "fits", "resume", "waits", "mnist", "speed", "precision", "files", "kmeans", "profile"]


@pytest.mark.slow
@pytest.mark.real_data
def test_every_part_runs(tmp_path: Path, data_folder: Path) -> None:
    """On the CPU, fits equal those of the CPU to the last bit, so a good verdict follows from equal code alone."""
    output = tmp_path / "results.json"
    command = [sys.executable, "gpu_check.py", "--accelerator=cpu", "--small", "--minutes=30", f"--output={output}"]
    run = subprocess.run([*command, f"--data={data_folder}"], cwd=SCRIPTS, capture_output=True, text=True)
    results = json.loads(output.read_text())["parts"]
    assert list(results) == PARTS
    bad = {name: part for name, part in results.items() if part["verdict"] != "good"}
    assert not bad, json.dumps(bad)[-6000:]
    assert run.returncode == 0
    assert max(max(values.values()) for values in results["fits"]["differences"].values()) == 0.0
    assert set(results["speed"]["step_seconds"]) == {"bare", "framework"}
    assert results["kmeans"]["cells"]["tiny"]["lightning_dc"]["inertia"] > 0


def test_a_part_that_fails_or_takes_too_long_leaves_the_others_alone(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, "gpu_check.py", "--accelerator=cpu", "--minutes=0.2", "--parts", "fits", "waits"]
    run = subprocess.run([*command, f"--output={output}"], cwd=SCRIPTS, capture_output=True, text=True)
    verdicts = {name: part["verdict"] for name, part in json.loads(output.read_text())["parts"].items()}
    assert verdicts == {"fits": "too long", "waits": "no time left"}
    assert run.returncode == 1
    assert "too long" in run.stdout


def test_without_a_gpu_the_script_says_how_to_rehearse() -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    run = subprocess.run([sys.executable, "gpu_check.py"], cwd=SCRIPTS, capture_output=True, text=True)
    assert run.returncode == 2
    assert "--accelerator cpu rehearses the script" in run.stderr
