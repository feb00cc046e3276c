"""Tests of the configuration ``table`` on a table as users bring it, with a path and a number of clusters alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import parquet
from sklearn.metrics import adjusted_rand_score

from tests.conftest import CommandLine
from tests.helpers.fake_customers import customers
from tests.helpers.fake_files import write_table

RUN = Path("runs/table/version_0")


def test_more_clusters_than_different_rows_are_refused_in_one_line(
    lightning_dc_cli: CommandLine, tmp_path: Path
) -> None:
    rows = [{"height": i % 3, "weight": (i % 3) ** 2} for i in range(200)]
    path = write_table(tmp_path / "few.csv", rows)
    fit = ("fit", "--config", "table", f"--data.path={path}", "--trainer.accelerator=cpu")
    message = lightning_dc_cli.fails(*fit, "--model.n_clusters=4")
    assert "n_clusters=4 is more than the 3 different samples" in message
    message = lightning_dc_cli.fails(*fit, "--model.n_clusters=201")
    assert "n_clusters=201 is more than the 200 samples; choose fewer clusters" in message
    lightning_dc_cli(*fit, "--model.n_clusters=3")
    assert sorted(set(parquet.read_table(RUN / "clusters.parquet")["cluster"].to_pylist())) == [0, 1, 2]


@pytest.mark.slow
def test_customers_are_clustered_at_the_first_attempt_and_those_of_next_month_too(
    lightning_dc_cli: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, segments = customers(1500, seed=0)
    path = write_table(tmp_path / "customers.csv", rows)
    lightning_dc_cli(
        *("fit", "--config", "table", f"--data.path={path}", "--model.n_clusters=4", "--trainer.accelerator=cpu")
    )
    assert "what each column was taken for" in caplog.text
    clusters = parquet.read_table(RUN / "clusters.parquet")
    assert clusters["id"].to_pylist() == [row["customer_id"] for row in rows]
    assert adjusted_rand_score(segments, clusters["cluster"].to_numpy()) >= 0.95

    new, new_segments = customers(400, seed=1)
    for row in new[:5]:
        row["country"] = "BE"  # a country that nobody had
    new[6]["plan"] = ""  # which nobody lacked
    new_path = write_table(tmp_path / "next_month.csv", new)
    lightning_dc_cli(
        *("predict", "--data=TableDataModule", f"--data.path={new_path}", "--ckpt_path", RUN, "--output.path=new.npz"),
        "--trainer.accelerator=cpu",
    )
    assert "column 'country' holds 'BE', which no training row has; it becomes zeros (5 rows)" in caplog.text
    predicted = np.load("new.npz")
    assert predicted["id"].tolist() == [row["customer_id"] for row in new]
    assert adjusted_rand_score(new_segments, predicted["cluster"]) >= 0.95

    features = (RUN / "features.csv").read_text()
    assert "log1p(avg_basket)" in features
    assert "joined: days before newest" in features
    state = torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)["lightning_dc"]["preprocessing"]
    assert set(state["table"]["left_out"]) == {"customer_id", "zip"}
