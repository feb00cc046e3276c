"""Tests of the probability of each sample that it keeps its cluster."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from pyarrow import parquet
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import Samples
from lightning_dc import AEKMeans, GaussianMixture, InputError, MergedKMeans, PhaseConfig
from lightning_dc.callbacks import CentroidRefresh
from lightning_dc.encoders import Identity
from lightning_dc.heads import NearestCentroidHead
from lightning_dc.reports import Calibration, CalibrationResult, RunSummary
from lightning_dc.reports.refits import kept_in_refits
from tests.conftest import CommandLine
from tests.helpers.command_line import fit_of, scalars, version
from tests.helpers.methods import Blobs, dcn, dec, trainer
from tests.helpers.samples import Given


def run(folder: Path, model: Any, data: Any, calibration: Calibration | None = None, **summary: Any) -> Any:
    """Fit with both reports, the calibration behind the summary, and return its result."""
    calibration = Calibration() if calibration is None else calibration
    logger = TensorBoardLogger(folder, name="", version="run")
    trainer(folder, RunSummary(**summary), calibration, logger=logger).fit(model, data)
    return calibration.result


def columns(path: Path) -> dict[str, np.ndarray]:
    table = parquet.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


def overlapping(n_samples: int = 2000) -> np.ndarray:
    """Return samples of five clusters in the plane that overlap."""
    random = np.random.default_rng(0)
    centres = random.normal(scale=2, size=(5, 2))
    return (centres[random.integers(5, size=n_samples)] + random.normal(size=(n_samples, 2))).astype(np.float32)


def k_means(n_clusters: int = 5) -> AEKMeans:
    pl.seed_everything(0, verbose=False)
    return AEKMeans((2,), n_clusters, Identity, pretraining=PhaseConfig(max_epochs=0, loss_weights={}))


def second_runs(x: np.ndarray, labels: np.ndarray, n_runs: int) -> np.ndarray:
    """Return the share of runs of scikit-learn on other halves in which each sample keeps its cluster, (n,)."""
    random, kept = np.random.default_rng(7), []
    for number in range(n_runs):
        half = random.permutation(len(x))[: len(x) // 2]
        found = KMeans(5, n_init=20, random_state=number).fit(x[half]).predict(x)
        table = np.array([[(found[labels == j] == k).sum() for k in range(5)] for j in range(5)])
        kept.append(linear_sum_assignment(-table)[1][labels] == found)
    return np.mean(kept, 0)


def test_nine_of_ten_keep_their_cluster_in_runs_of_scikit_learn(tmp_path: Path) -> None:
    x = overlapping()
    result = run(tmp_path, k_means(), Given(Samples(x), batch_size=256), Calibration(n_refits=40))
    found = columns(tmp_path / "run/clusters.parquet")
    stability = found["head_stability"]
    kept = second_runs(x, found["cluster"], 40)
    for level in (0.6, 0.7, 0.8, 0.9):
        own = abs(stability - level) < 0.05
        assert own.sum() > 50
        assert kept[own].mean() == pytest.approx(level, abs=0.03 if level == 0.9 else 0.08)
    assert result.stability == pytest.approx(kept.mean(), abs=0.03)
    assert stability.mean() == pytest.approx(result.stability, abs=0.01)


def test_a_refit_is_k_means_on_half_of_the_samples() -> None:
    """The reference assigns all samples to the centroids of scikit-learn on the same half."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 2)) + 8 * np.eye(2)[np.arange(60) % 2])
    head = NearestCentroidHead(2, 2).double()
    head.centroids.data.copy_(8 * torch.eye(2))
    before = head.centroids.detach().clone()
    halves: list[torch.Tensor] = []

    class Noting(CentroidRefresh):
        def fit_copy(self, head: Any, z: torch.Tensor, generator: torch.Generator) -> Any:
            halves.append(z)
            return super().fit_copy(head, z, generator)

    labels = torch.arange(60) % 2
    labels[0] = 1  # a sample that every refit moves
    kept = kept_in_refits(Noting(n_init=3), head, x, labels, n_refits=4, seed=5)
    assert kept.shape == (4, 60)
    assert [len(half) for half in halves] == [30] * 4
    assert len({tuple(half.flatten().tolist()) for half in halves}) == 4
    for half, own in zip(halves, kept, strict=True):
        assert {tuple(row) for row in half.tolist()} <= {tuple(row) for row in x.tolist()}
        centroids = KMeans(2, n_init=3, random_state=0).fit(half.numpy()).cluster_centers_
        nearest = pairwise_distances(x.numpy(), centroids).argmin(1)
        agrees = nearest == labels.numpy()
        np.testing.assert_array_equal(own, agrees if agrees.mean() > 0.5 else ~agrees)
    assert not bool(kept[:, 0].any())
    assert torch.equal(head.centroids.detach(), before)
    assert torch.equal(kept_in_refits(CentroidRefresh(3), head, x, labels, n_refits=2, seed=5), kept[:2])


@pytest.mark.parametrize("method", [dec, dcn, GaussianMixture, MergedKMeans])
def test_soft_and_hard_methods_have_the_column(tmp_path: Path, capsys: pytest.CaptureFixture[str], method: Any) -> None:
    model = method() if method in (dec, dcn) else method((6,), 3)
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 6))[np.arange(150) % 3] + random.normal(size=(150, 6))  # they overlap
    result = run(tmp_path, model, Given(Samples(x.astype(np.float32)), batch_size=40))
    printed, found = capsys.readouterr().out, columns(tmp_path / "run/clusters.parquet")
    is_soft = model.model.head.is_soft
    assert ("confidence" in found) == is_soft
    stability = found["head_stability"]
    assert stability.shape == (150,)
    assert 0 <= stability.min() < stability.max() <= 1
    logged = {name: events[-1].value for name, events in scalars(tmp_path / "run").items()}
    assert logged["final/head_stability"] == pytest.approx(result.stability, abs=1e-6)
    assert f"{result.stability:.4f} in 10 refits of the head on halves of 150 samples" in printed
    assert ("final/calibration_error_of_confidence" in logged) == is_soft
    assert ("of the confidence" in printed) == is_soft
    if is_soft:
        assert result.confidence == pytest.approx(found["confidence"].mean(), abs=1e-5)
    shown = EventAccumulator(str(tmp_path / "run"), size_guidance={"images": 0}).Reload()
    assert "clusters/reliability" in shown.Tags()["images"]


def test_the_surest_samples_are_those_of_the_largest_margin(tmp_path: Path) -> None:
    x = overlapping(500)
    run(tmp_path, k_means(), Given(Samples(x), batch_size=100))
    found = columns(tmp_path / "run/clusters.parquet")
    centroids = np.stack([x[found["cluster"] == k].mean(0) for k in range(5)])
    distances = np.sort(pairwise_distances(x, centroids), 1)
    margins = (distances[:, 1] - distances[:, 0]) / (distances[:, 1] + distances[:, 0])
    for k in range(5):
        own = found["cluster"] == k
        order = margins[own].argsort()
        assert np.all(np.diff(found["head_stability"][own][order]) > -1e-4)


def test_pieces_and_clustering_again_have_the_column_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "whole", dec(), Blobs())
    run(tmp_path / "again", dec(), Blobs(), recluster=["kmeans"])
    monkeypatch.setattr("lightning_dc.training.final.LARGE_TABLE", 10)
    for name, module in list(sys.modules.items()):
        if name.startswith("lightning_dc.") and hasattr(module, "CHUNK_SIZE"):
            monkeypatch.setattr(module, "CHUNK_SIZE", 32)
    run(tmp_path / "pieces", dec(), Blobs())
    whole, again, pieces = (
        columns(tmp_path / name / "run/clusters.parquet")["head_stability"] for name in ("whole", "again", "pieces")
    )
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_allclose(pieces, whole, rtol=1e-5)


def test_the_drawn_samples_stand_for_all(tmp_path: Path) -> None:
    data = Given(Samples(overlapping()), batch_size=256)
    few = run(tmp_path, k_means(), data, Calibration(n_samples=400))
    assert few.n_samples == 400
    assert len(columns(tmp_path / "run/clusters.parquet")["head_stability"]) == 2000
    assert run(tmp_path / "least", k_means(), data, Calibration(n_samples=1)).n_samples == 20 * 5


def test_a_refit_that_fails_is_a_row_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("lightning_dc.reports.calibration.kept_in_refits", fail)
    assert run(tmp_path, dec(), Blobs()) is None
    assert "failed: MemoryError: no room" in capsys.readouterr().out
    found = columns(tmp_path / "run/clusters.parquet")
    assert "head_stability" not in found
    assert len(found["cluster"]) == 150


def test_a_second_fit_has_a_result_of_its_own(tmp_path: Path) -> None:
    calibration = Calibration(n_refits=2)
    first = run(tmp_path / "a", dec(), Blobs(), calibration)
    second = run(tmp_path / "b", dec(n_clusters=4), Blobs(), calibration)
    assert (len(first.model.ceilings), len(second.model.ceilings)) == (3, 4)


def test_it_reports_without_a_summary_and_draws_a_file_without_tensorboard(tmp_path: Path) -> None:
    calibration = Calibration(n_refits=2)
    trainer(tmp_path, calibration, logger=CSVLogger(tmp_path, name="", version="run")).fit(dec(), Blobs())
    assert isinstance(calibration.result, CalibrationResult)
    assert (tmp_path / "run/clusters_reliability.png").stat().st_size > 1000


def test_too_few_samples_have_no_report(tmp_path: Path) -> None:
    data = Given(Samples(np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)), batch_size=9)
    assert run(tmp_path, k_means(), data) is None
    assert "head_stability" not in columns(tmp_path / "run/clusters.parquet")


def test_confident_clusters_that_are_not_stable_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six components of one uniform cloud: the mixture divides it anew each time."""
    pl.seed_everything(0, verbose=False)
    x = np.random.default_rng(0).normal(size=(240, 12)).astype(np.float32)
    model = GaussianMixture((12,), 6, functools.partial(Identity), shrinkage=0.0)
    result = run(tmp_path, model, Given(Samples(x), batch_size=60))
    assert result.confidence >= 0.9
    assert result.stability < result.confidence - 0.15
    assert capsys.readouterr().out.count("The clusters look surer than they are") == 1


# ---- command line ---------------------------------------------------------------------------------------------------


def test_it_is_on_by_default_and_can_be_left_out(lightning_dc_cli: CommandLine) -> None:
    assert "│ head stability " in lightning_dc_cli(*fit_of("AEKMeans"))
    assert "head_stability" in columns(version(0) / "clusters.parquet")
    assert "head stability" not in lightning_dc_cli(*fit_of("AEKMeans"), "--calibration.enabled=false")
    assert "head_stability" not in columns(version(1) / "clusters.parquet")
    config = version(0) / "config.yaml"
    lightning_dc_cli("predict", "--config", config, "--ckpt_path", version(0), "--output.path=p.npz")


def test_bad_values_are_refused() -> None:
    with pytest.raises(InputError, match="n_refits=1 must be at least 2"):
        Calibration(n_refits=1)
    with pytest.raises(InputError, match="n_samples=0 must be at least 1"):
        Calibration(n_samples=0)
