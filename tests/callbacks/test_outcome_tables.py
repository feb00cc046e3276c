"""Outcome tables of runs from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from lifelines.statistics import multivariate_logrank_test
from pyarrow import parquet
from sklearn.feature_selection import f_classif
from sklearn.metrics.cluster import contingency_matrix
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import SyntheticDataModule
from tests.conftest import CommandLine
from tests.test_cli import scalars

RUN = Path("runs/kmeans_synthetic/version_0")
N_SAMPLES = 240


def fit(target: str, *flags: str) -> tuple[str, ...]:
    data = (f"--data.target={target}", f"--data.n_samples={N_SAMPLES}")
    return ("fit", "--config=kmeans_synthetic", "--trainer.accelerator=cpu", *data, *flags)


def rows() -> list[dict[str, str]]:
    with (RUN / "outcomes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def clusters_and_targets(target: str) -> tuple[np.ndarray, np.ndarray]:
    """Final clusters of the training samples, and their targets."""
    table = parquet.read_table(RUN / "clusters.parquet")
    targets = SyntheticDataModule(n_samples=N_SAMPLES, target=target).load().targets
    return table["cluster"].to_numpy(), np.asarray(targets)[table["index"].to_numpy()]


def all_of(samples: str) -> dict[str, str]:
    (row,) = [row for row in rows() if row["cluster"] == "all" and row["samples"] == samples]
    return row


def test_survival(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*fit("survival", "--data.val_fraction=0.3"))
    clusters, targets = clusters_and_targets("survival")
    expected = multivariate_logrank_test(targets[:, 0], clusters, targets[:, 1])
    total = all_of("train")
    assert float(total["p"]) == pytest.approx(expected.p_value, rel=1e-4)
    assert float(total["log_rank"]) == pytest.approx(expected.test_statistic, rel=1e-4)
    assert f"Clusters and survival, train: log_rank {expected.test_statistic:.4g}" in printed
    assert [int(row["n"]) for row in rows()[:4]] == np.bincount(clusters).tolist()
    assert int(all_of("val")["n"]) + int(total["n"]) == N_SAMPLES
    assert scalars(RUN)["final/train_survival_p"][-1].value == pytest.approx(expected.p_value, rel=1e-3)
    log = EventAccumulator(str(RUN)).Reload()
    assert set(log.Tags()["images"]) == {"survival/train", "survival/val"}


def test_classes(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*fit("class"))
    counts = contingency_matrix(*clusters_and_targets("class"))
    assert [[int(row[f"class {c}"]) for c in range(4)] for row in rows()[:4]] == counts.tolist()
    assert {row["samples"] for row in rows()} == {"train"}
    assert "Clusters and class, train: chi_square" in printed


def test_values(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*fit("value"))
    clusters, targets = clusters_and_targets("value")
    assert float(all_of("train")["anova_f"]) == pytest.approx(f_classif(targets, clusters)[0][0], rel=1e-4)


@pytest.mark.parametrize("flags", [("none",), ("survival", "--outcomes.file_name=null")])
def test_without_targets_or_a_file_name_there_is_no_table(lightning_dc_cli: CommandLine, flags: tuple[str]) -> None:
    printed = lightning_dc_cli(*fit(*flags))
    assert "Clusters and" not in printed
    assert not (RUN / "outcomes.csv").exists()
    assert (RUN / "clusters.parquet").exists()


def test_slips_are_found_before_training(lightning_dc_cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    message = lightning_dc_cli.fails(*fit("class", "--outcomes.file_name=outcomes.xlsx"))
    assert "outcomes.file_name='outcomes.xlsx' must end in .csv" in message
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'lightning-dc[survival]'" in lightning_dc_cli.fails(*fit("survival"))
    assert not list(Path().rglob("*.ckpt"))


def test_the_saved_configuration_serves_the_other_subcommands(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*fit("class"))
    printed = lightning_dc_cli(
        "validate", "--config", RUN / "config.yaml", "--ckpt_path", RUN / "checkpoints/last.ckpt"
    )
    assert "val/acc" in printed
