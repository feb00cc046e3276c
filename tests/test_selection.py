"""Choice of settings over resamples."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from lightning_dc.selection import Run, Scores, Setting, agreement, choose, selection_shares, summarize
from tests.conftest import CommandLine


def run(labels: list[int], index: list[int] | None = None, loss: float = 0.0, selected: list[str] | None = None) -> Run:
    return Run(torch.tensor(index or range(len(labels))), torch.tensor(labels), 0.5, loss, selected)


def scores(k: int, alpha: float, quality: float, loss: float, error: float = 0.1) -> Scores:
    return Scores(Setting(k, alpha, None), quality, quality, loss, error, 3.0)


def test_stability_is_the_ari_of_the_samples_in_common() -> None:
    first, second = run([0, 0, 1, 1, 2], [0, 1, 2, 3, 4]), run([1, 1, 2, 0, 1], [3, 2, 4, 1, 7])
    assert agreement(first, second) == pytest.approx(adjusted_rand_score([0, 1, 1, 2], [0, 1, 1, 2]))
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, (3, 50)).tolist()
    expected = np.mean([adjusted_rand_score(labels[i], labels[j]) for i, j in ((0, 1), (0, 2), (1, 2))])
    losses = [1.0, 2.0, 6.0]
    summary = summarize(Setting(3, None, None), [run(own, loss=loss) for own, loss in zip(labels, losses, strict=True)])
    assert summary.stability == pytest.approx(expected)
    assert summary.loss == pytest.approx(3.0)
    assert summary.loss_error == pytest.approx(np.std(losses, ddof=1) / np.sqrt(3))


def test_k_is_the_best_and_alpha_the_largest_within_one_standard_error() -> None:
    table = [
        scores(3, 0.1, 0.9, 1.00),
        scores(3, 1.0, 0.9, 1.09),
        scores(3, 2.0, 0.9, 1.11),
        scores(4, 4.0, 0.7, 0.50),
    ]
    assert choose(table).setting == Setting(3, 1.0, None)


def test_methods_without_a_task_have_no_loss_to_choose_by() -> None:
    table = [Scores(Setting(k, None, None), 0.1 * k, 0.5, float("nan"), float("nan"), float("nan")) for k in (2, 3)]
    assert choose(table).setting.k == 3


def test_an_inputs_share_is_that_of_the_runs_which_kept_it() -> None:
    runs = [run([0], selected=["a", "b"]), run([0], selected=["b"]), run([0], selected=["b", "c"])]
    assert selection_shares(runs) == {"b": 1.0, "a": pytest.approx(1 / 3), "c": pytest.approx(1 / 3)}
    assert selection_shares([run([0])]) == {}


@pytest.mark.slow
def test_the_command_finds_the_number_of_clusters(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    data = (
        "--data.n_samples=300",
        "--data.separation=8",
        "--data.batch_size=16",
        "--trainer.accelerator=cpu",
        "--model.joint.max_epochs=5",
    )
    printed = lightning_dc_cli(
        *("select", "--config", "deeptype_synthetic", "--k", 3, 4, "--resamples", 2, "--output", "chosen", "--", *data)
    )
    assert "Chosen: k 4" in printed
    folder = tmp_path / "chosen"
    with (folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["k"], row["chosen"]) for row in rows] == [("3", "0"), ("4", "1")]
    assert float(rows[1]["stability"]) == pytest.approx(1.0)
    assert float(rows[1]["loss"]) > 0
    assert (folder / "scores.png").stat().st_size > 1000
    with (folder / "features.csv").open() as file:
        shares = {row["feature"]: float(row["share"]) for row in csv.DictReader(file)}
    assert shares == {f"informative_{j}": 1.0 for j in range(5)}
    assert "holds the scores of another" in lightning_dc_cli.fails("select", "--config=x", "--output=chosen")
    assert "resamples=1" in lightning_dc_cli.fails("select", "--config=x", "--resamples=1")
