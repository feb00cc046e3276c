"""Tests that a process that fails tells the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lightning_dc.distributed import collect_on_first, failing_together
from tests.helpers.processes import run_command, run_on_two_processes


def fail_on(failing: int | None, rank: int) -> str:
    try:
        with failing_together():
            if rank == failing:
                raise OSError("disk full")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "went on"


def fail_on_the_first(rank: int) -> str:
    return fail_on(0, rank)


def fail_on_none(rank: int) -> str:
    return fail_on(None, rank)


@pytest.mark.distributed
def test_what_is_raised_on_one_process_is_raised_on_all(tmp_path: Path) -> None:
    first, second = run_on_two_processes(fail_on_the_first, tmp_path)
    assert first == "OSError: disk full"
    assert second == "RuntimeError: another process has failed; see its message"
    assert fail_on(0, 0) == "OSError: disk full"  # on one process, too


@pytest.mark.distributed
def test_without_a_failure_all_go_on(tmp_path: Path) -> None:
    assert run_on_two_processes(fail_on_none, tmp_path) == ["went on", "went on"]


@pytest.mark.distributed
@pytest.mark.slow
def test_clusters_that_can_not_be_written_keep_no_process_waiting(tmp_path: Path) -> None:
    fit = (
        *(sys.executable, "-m", "lightning_dc", "fit", "--config=kmeans_synthetic", "--trainer.accelerator=cpu"),
        *("--data.n_samples=5000", "--trainer.strategy=ddp", "--trainer.devices=2"),
        "--summary.file_name=config.yaml/clusters.parquet",  # a file is no folder
    )
    printed = run_command(fit, tmp_path, succeeds=False)
    assert "FileExistsError" in printed
    assert "another process has failed; see its message" in printed


def collect(rank: int) -> list[str]:
    return [*collect_on_first(f"of {rank}"), *collect_on_first(f"again {rank}")]


@pytest.mark.distributed
def test_the_first_process_collects_from_all(tmp_path: Path) -> None:
    first, second = run_on_two_processes(collect, tmp_path)
    assert first == ["of 0", "of 1", "again 0", "again 1"]
    assert second == []
    assert collect_on_first(7) == [7]  # on one process
