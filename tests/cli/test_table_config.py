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
