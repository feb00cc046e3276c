"""Tests of outcome tables of runs from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
from lifelines.statistics import multivariate_logrank_test
from lightning.pytorch.loggers import TensorBoardLogger
from pyarrow import parquet
from sklearn.feature_selection import f_classif
from sklearn.metrics.cluster import contingency_matrix
from sksurv.metrics import concordance_index_censored
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import SyntheticDataModule
from lightning_dc import KMeansConfig, PhaseConfig
from lightning_dc.batch import TargetSpec
from lightning_dc.methods import DeepType
from lightning_dc.reports import OutcomeTables
from tests.conftest import CommandLine
from tests.helpers.command_line import scalars

RUN = Path("runs/kmeans_synthetic/version_0")
N_SAMPLES = 240


def fit(target: str, *flags: str) -> tuple[str, ...]:
    data = (f"--data.target={target}", f"--data.n_samples={N_SAMPLES}")
    return ("fit", "--config=kmeans_synthetic", "--trainer.accelerator=cpu", *data, *flags)


def rows(run: Path = RUN) -> list[dict[str, str]]:
    with (run / "outcomes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def clusters_and_targets(target: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the final clusters of the training samples and their targets."""
    table = parquet.read_table(RUN / "clusters.parquet")
    targets = SyntheticDataModule(n_samples=N_SAMPLES, target=target).load().targets
    return table["cluster"].to_numpy(), np.asarray(targets)[table["index"].to_numpy()]


def all_of(samples: str, run: Path = RUN) -> dict[str, str]:
    (row,) = [row for row in rows(run) if row["cluster"] == "all" and row["samples"] == samples]
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
    assert {name for name in log.Tags()["images"] if "survival" in name} == {"survival/train", "survival/val"}


def test_concordance_of_a_method_that_predicts_survival(tmp_path: Path) -> None:
    data = SyntheticDataModule(n_samples=N_SAMPLES, target="survival", scaling="standard", val_fraction=0.3)
    short = {"max_steps": 20, "loss_weights": {"task": 1.0}}
    phase = PhaseConfig(**short)
    model = DeepType((20,), data.target_spec, 4, pretraining=phase, joint=phase, kmeans=KMeansConfig(2))
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    pl.Trainer(max_epochs=-1, accelerator="cpu", logger=logger, callbacks=[OutcomeTables()]).fit(model, data)
    run = tmp_path / "run"
    model.eval()
    for samples, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
        batch = loader.read(0, N_SAMPLES)
        risk = model.model.predict_task(model.model.encode(batch.x).features)[:, 0].detach().numpy()
        expected = concordance_index_censored(batch.targets[:, 1].numpy() == 1, batch.targets[:, 0].numpy(), risk)[0]
        assert float(all_of(samples, run)["concordance"]) == pytest.approx(expected, abs=1e-4)
        assert scalars(run)[f"final/{samples}_survival_concordance"][-1].value == pytest.approx(expected, abs=1e-4)


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


def test_the_checkpoint_of_a_supervised_method_rebuilds_its_model(lightning_dc_cli: CommandLine) -> None:
    quick = ("--model.pretraining.max_steps=5", "--model.joint.max_steps=5", "--model.kmeans.n_init=2")
    lightning_dc_cli(*fit("survival", "--config=deeptype_synthetic", *quick), "--data.target=survival")
    path = RUN.parents[1] / "deeptype_synthetic/version_0/checkpoints/last.ckpt"
    model = DeepType.load_from_checkpoint(path, weights_only=True)
    assert model.evaluation.task_scores.spec == TargetSpec("survival", ["time", "event"])
