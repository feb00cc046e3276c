"""Tests of the comparison with k-means on the inputs, on several processes."""

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
    *("--data.n_samples=5000", "--trainer.precision=64-true"),  # two chunks: a third process has none
)


def fit(folder: Path, n_processes: int, *flags: str) -> tuple[str, Path]:
    """Return what a fit has printed, and its folder."""
    several = () if n_processes == 1 else ("--trainer.strategy=ddp", f"--trainer.devices={n_processes}")
    name = f"on-{n_processes}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*FIT, *several, *flags, f"--trainer.logger.name={name}"]
    return run_command(command, folder, environment), folder / "runs" / name / "version_0"


def rows(printed: str) -> list[str]:
    """Return the rows of the comparison."""
    names = ("│ baseline ", "│ agreement with baseline ", "│ silhouette ")
    return [line.rstrip(" │") for line in printed.splitlines() if line.startswith(names)]


def test_two_and_three_processes_have_the_rows_and_columns_of_one(tmp_path: Path) -> None:
    printed, folder = fit(tmp_path, 1)
    clusters = parquet.read_table(folder / "clusters.parquet")
    logged = {name: events[-1].value for name, events in scalars(folder).items() if "baseline" in name}
    assert len(rows(printed)) == 3
    assert len(logged) == 6
    for n_processes in (2, 3):
        printed_there, folder = fit(tmp_path, n_processes)
        assert rows(printed_there) == rows(printed)
        there = parquet.read_table(folder / "clusters.parquet")
        np.testing.assert_array_equal(there["cluster_baseline"], clusters["cluster_baseline"])
        assert {name: events[-1].value for name, events in scalars(folder).items() if "baseline" in name} == logged


@pytest.mark.parametrize("rank", [0, 1])
def test_a_baseline_that_fails_on_one_process_is_a_row_on_all(tmp_path: Path, rank: int) -> None:
    (tmp_path / "breaking.py").write_text(
        "import lightning.pytorch as pl\n"
        "from lightning_dc.reports import baseline_labels\n"
        "class Breaking(pl.Callback):\n"
        "    def on_train_start(self, trainer, pl_module):\n"
        f"        if trainer.global_rank == {rank}:\n"
        "            def fail(*args):\n"
        "                raise MemoryError('no room')\n"
        "            baseline_labels.nearest_centroids = fail\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"}
    flags = ("--trainer.strategy=ddp", "--trainer.devices=2", "--trainer.callbacks=breaking.Breaking")
    printed = run_command([*FIT, *flags], tmp_path, environment)
    assert "failed: MemoryError: no room" in printed
    found = parquet.read_table(tmp_path / "runs/run/version_0/clusters.parquet")
    assert "cluster_baseline" not in found.column_names
    assert len(found) == 5000
