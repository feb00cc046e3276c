"""Tests of the stability of clusters, on several processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from tests.helpers.command_line import fit_of, scalars
from tests.helpers.processes import run_command

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

FIT = (
    *(sys.executable, "-m", "lightning_dc", *map(str, fit_of("AEKMeans"))),
    *("--data.n_samples=5000", "--trainer.precision=64-true", "--baseline.enabled=false"),
)


def fit(folder: Path, n_processes: int, *flags: str) -> tuple[str, Path]:
    """Return what a fit has printed, and its folder."""
    several = () if n_processes == 1 else ("--trainer.strategy=ddp", f"--trainer.devices={n_processes}")
    name = f"on-{n_processes}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{Path(__file__).parents[2]}:{folder}"}
    command = [*FIT, *several, *flags, f"--trainer.logger.name={name}"]
    return run_command(command, folder, environment), folder / "runs" / name / "version_0"


def rows(printed: str) -> list[str]:
    """Return the rows of the report."""
    names = ("│ head stability ", "│ calibration error ")
    return [line.rstrip(" │") for line in printed.splitlines() if line.startswith(names)]


def test_two_processes_have_the_rows_and_the_column_of_one(tmp_path: Path) -> None:
    (printed, folder), (printed_there, folder_there) = fit(tmp_path, 1), fit(tmp_path, 2)
    assert len(rows(printed)) == 2
    assert rows(printed_there) == rows(printed)
    own, there = (parquet.read_table(each / "clusters.parquet") for each in (folder, folder_there))
    np.testing.assert_allclose(there["head_stability"], own["head_stability"], atol=1e-6)
    names = ("final/head_stability", "final/calibration_error")
    values = [[scalars(each)[name][-1].value for name in names] for each in (folder, folder_there)]
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_refits_that_fail_are_a_row_and_no_process_waits(tmp_path: Path) -> None:
    (tmp_path / "breaking.py").write_text(
        "import lightning.pytorch as pl\n"
        "from lightning_dc.reports import calibration\n"
        "class Breaking(pl.Callback):\n"
        "    def on_train_start(self, trainer, pl_module):\n"
        "        def fail(*args, **kwargs):\n"
        "            raise MemoryError('no room')\n"
        "        calibration.kept_in_refits = fail\n"
    )
    printed, folder = fit(tmp_path, 2, "--trainer.callbacks=breaking.Breaking")
    assert "failed: MemoryError: no room" in printed
    found = parquet.read_table(folder / "clusters.parquet")
    assert "head_stability" not in found.column_names
    assert len(found) == 5000
