from __future__ import annotations

from pathlib import Path

from tests.conftest import CommandLine
from tests.test_cli import DIGITS, RUN


def test_a_run_that_is_stopped_before_clustering_writes_no_clusters(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*DIGITS, "--trainer.max_steps=2")
    assert "before there were clusters" in printed
    assert not (RUN / "clusters.parquet").exists()


def test_a_run_that_is_stopped_while_clustering_still_writes_its_clusters(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*DIGITS, "--model.layerwise.max_steps=0", "--trainer.max_steps=8")
    assert "in phase 'clustering'" in printed
    assert (RUN / "clusters.parquet").exists()


def test_the_table_names_files_that_exist(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*DIGITS, "--summary.file_name=c.npz")
    values = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in printed.splitlines() if "│" in line}
    assert Path(values["checkpoint"]).is_file()
    assert Path(values["clusters"]).name == "c.npz"
    assert Path(values["clusters"]).is_file()
    assert Path(values["TensorBoard"].removeprefix("tensorboard --logdir ")).is_dir()
