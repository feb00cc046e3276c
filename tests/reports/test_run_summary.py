from __future__ import annotations

import os
from pathlib import Path

import pytest

from lightning_dc.reports.top_terms import TopTerm, write_terms
from tests.conftest import CommandLine
from tests.helpers.command_line import DIGITS, RUN


def test_a_run_that_is_stopped_before_clustering_writes_no_clusters(lightning_dc_cli: CommandLine) -> None:
    with pytest.warns(UserWarning, match="Training has ended in phase 'layer 1', before there were clusters"):
        lightning_dc_cli(*DIGITS, "--trainer.max_steps=2")
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


def test_terms_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "terms.csv"
    write_terms(path, [TopTerm(0, 1, 'a "b", ü', 0.5, 0.25)])
    before = path.read_bytes()
    assert before.decode() == 'cluster,rank,term,mean,mean_of_rest\r\n0,1,"a ""b"", ü",0.5,0.25\r\n'

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_terms(path, [])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
