"""Tests of outcome tables on two processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.helpers.processes import run_command

FIT = (
    *(sys.executable, "-m", "lightning_dc", "fit", "--config=kmeans_synthetic", "--trainer.accelerator=cpu"),
    *("--data.target=survival", "--data.n_samples=5000", "--data.val_fraction=0.3"),  # a second process has no chunk
)


@pytest.mark.distributed
@pytest.mark.slow
def test_tables_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    tables = []
    for name, flags in (("one", ()), ("two", ("--trainer.strategy=ddp", "--trainer.devices=2"))):
        printed = run_command([*FIT, *flags, f"--trainer.logger.name={name}"], tmp_path)
        assert printed.count("Clusters and survival, val") == 1
        tables.append((tmp_path / "runs" / name / "version_0/outcomes.csv").read_text())
    assert tables[0] == tables[1]
    assert tables[0].count("\n") == 1 + 2 * 5
