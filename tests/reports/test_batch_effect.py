"""Tests of the agreement of clusters with batches, against scikit-learn and mixtures whose answer is known."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from lightning_dc.reports.batch_effect import batch_agreement
from tests.conftest import CommandLine
from tests.helpers.fake_files import counts, write_fake_cells

pytest.importorskip("anndata")
pytestmark = pytest.mark.filterwarnings("ignore:.*:Warning:anndata")

KIND = np.repeat(np.arange(6), 100)
BATCH = np.tile([0, 1], 300)
FIT = (
    *("fit", "--model=AEKMeans", "--model.n_clusters=3", "--model.autoencoder=Identity"),
    *("--model.pretraining.max_epochs=0", "--trainer.accelerator=cpu", "--data=AnnDataModule"),
    *("--data.path=cells.h5ad", "--data.n_top_genes=null"),
)
RUN = Path("runs/run/version_0")


def test_clusters_that_divide_kinds_by_batch_have_one() -> None:
    assert batch_agreement(2 * KIND + BATCH, BATCH) == pytest.approx(1.0)
    assert batch_agreement(BATCH, BATCH) == pytest.approx(1.0)


def test_clusters_in_which_batches_are_mixed_have_zero() -> None:
    assert abs(batch_agreement(KIND, BATCH)) < 0.01
    random = np.random.default_rng(0).integers(0, 6, 600)
    assert abs(batch_agreement(random, BATCH)) < 0.02
    assert batch_agreement(KIND, np.zeros(600, np.int64)) == 0.0
    assert batch_agreement(np.zeros(600, np.int64), BATCH) == 0.0


def write_cells(folder: Path, **columns: object) -> None:
    obs = pd.DataFrame(columns, index=[f"cell{i}" for i in range(60)])
    write_fake_cells(folder / "cells.h5ad", X=counts(), obs=obs)


def test_the_table_tells_of_mixed_batches(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    batch = np.random.default_rng(0).integers(0, 2, 60)
    write_cells(tmp_path, run=[f"r{one}" for one in batch])
    printed = lightning_dc_cli(*FIT, "--data.batch_key=run", "--data.val_fraction=0.2")
    clusters = pd.read_parquet(RUN / "clusters.parquet")
    expected = adjusted_mutual_info_score(batch[clusters["index"]], clusters["cluster"], average_method="min")
    assert f"AMI {expected:.4f}, the clusters do not follow it" in printed
    assert "may hold batches" not in printed


def test_a_warning_tells_of_clusters_that_follow_the_batch(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    plate = [i % 3 for i in range(60)]  # as the groups of cells
    write_cells(tmp_path, plate=[None, *(f"p{one}" for one in plate[1:])])
    with pytest.warns(UserWarning, match=r"The clusters follow 'plate' \(AMI [0-9.]+\): samples of one kind may be in"):
        printed = lightning_dc_cli(*FIT, "--data.batch_key=plate")
    clusters = pd.read_parquet(RUN / "clusters.parquet")["cluster"]
    expected = adjusted_mutual_info_score(plate[1:], clusters[1:], average_method="min")  # without the unknown one
    assert f"AMI {expected:.4f}, the clusters follow it" in printed


def test_batches_that_are_all_unknown_have_no_row(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    write_cells(tmp_path, plate=pd.Categorical([None] * 60, categories=["p0", "p1"]))
    printed = lightning_dc_cli(*FIT, "--data.batch_key=plate")
    assert "clusters and plate" not in printed
    assert "AMI" not in printed


def test_a_column_that_may_hold_batches_is_told(
    lightning_dc_cli: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("kind", "Sample_ID", "donor", "n_counts")
    write_cells(tmp_path, **{name: [i % 2 for i in range(60)] for name in names}, sample=range(60))
    with caplog.at_level(logging.INFO):
        printed = lightning_dc_cli(*FIT)
    told = [line for line in caplog.text.splitlines() if "may hold batches" in line]
    assert len(told) == 1
    assert "'Sample_ID', 'donor' of obs may hold batches; batch_key='Sample_ID' tells whether" in told[0]
    assert "AMI" not in printed


def test_a_column_that_is_not_there_is_refused(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    write_fake_cells(tmp_path / "cells.h5ad")
    message = lightning_dc_cli.fails(*FIT, "--data.batch_key=batch")
    assert "batch_key='batch' is no column of obs in cells.h5ad, which has 'kind'" in message
