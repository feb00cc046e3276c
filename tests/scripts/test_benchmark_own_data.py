"""A small part of the suite of data with known clusters, with bounds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
LEAST = {  # ARI of the shipped configuration with a path and the number of clusters alone
    "customers": 0.95,
    "customers, only categories": 0.80,
    "iris": 0.80,
    "wine": 0.85,
    "embeddings": 0.95,
}


@pytest.mark.slow
def test_shipped_configurations_find_what_is_there(tmp_path: Path) -> None:
    output = tmp_path / "scores.json"
    command = [sys.executable, "benchmark_own_data.py", "--ours-only", f"--output={output}", "--seeds", "5", "--sets"]
    subprocess.run([*command, *LEAST], cwd=SCRIPTS, check=True, capture_output=True)
    found = {name: ways["shipped configuration"][0][0] for name, ways in json.loads(output.read_text()).items()}
    assert found.keys() == LEAST.keys()
    assert {name: ari for name, ari in found.items() if ari < LEAST[name]} == {}
