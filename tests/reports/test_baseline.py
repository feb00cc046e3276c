"""Tests of the comparison of a run with k-means on its inputs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import scipy.sparse
from lightning.pytorch.loggers import TensorBoardLogger
from pyarrow import parquet
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from datamodules import DigitsDataModule, Samples
from datamodules.loading.scaling import ScalingName
from lightning_dc import AEKMeans, GaussianMixture, Identity, MergedKMeans, MLPAutoencoder, PhaseConfig
from lightning_dc.reports import Baseline, BaselineResult, RunSummary
from tests.conftest import CommandLine
from tests.helpers.command_line import DIGITS, RUN, fit_of, scalars, version
from tests.helpers.methods import Blobs, dcn, dec, trainer
from tests.helpers.samples import Given


def run(folder: Path, model: Any, data: Any, baseline: Baseline | None = None, **summary: Any) -> BaselineResult | None:
    """Fit with both reports, the baseline behind the summary, and return the comparison."""
    baseline = Baseline() if baseline is None else baseline
    logger = TensorBoardLogger(folder, name="", version="run")
    trainer(folder, RunSummary(**summary), baseline, logger=logger).fit(model, data)
    return baseline.result


def columns(path: Path) -> dict[str, np.ndarray]:
    table = parquet.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


def inputs(data: Any) -> np.ndarray:
    loader = data.train_dataloader()
    return loader.read(0, loader.n_samples).x.flatten(1).numpy()


def inertia(x: np.ndarray, labels: np.ndarray) -> float:
    return sum(((x[labels == k] - x[labels == k].mean(0)) ** 2).sum() for k in np.unique(labels))


def accuracy(y: np.ndarray, labels: np.ndarray) -> float:
    table = np.array([[(labels[y == j] == k).sum() for k in np.unique(labels)] for j in np.unique(y)])
    return table[linear_sum_assignment(-table)].sum() / len(y)


def row_of(printed: str, name: str) -> str:
    return next(line.split("│")[2].strip() for line in printed.splitlines() if f"│ {name} " in line)


def blobs(x: Any, y: Any = None, **arguments: Any) -> Given:
    return Given(Samples(x, y), batch_size=40, **arguments)


@pytest.mark.parametrize("labels", ["true", "none"])
@pytest.mark.parametrize("method", [dec, dcn])
def test_the_numbers_are_those_of_scikit_learn_on_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: Any, labels: str
) -> None:
    data = Blobs(labels)
    result = run(tmp_path, method(), data)
    printed, found = capsys.readouterr().out, columns(tmp_path / "run/clusters.parquet")
    logged = {name: events[-1].value for name, events in scalars(tmp_path / "run").items()}
    assert result is not None
    own, baseline, x = found["cluster"], found["cluster_baseline"], inputs(data)
    np.testing.assert_array_equal(result.labels, baseline)
    expected = KMeans(3, n_init=10, random_state=0).fit_predict(x)
    assert adjusted_rand_score(baseline, expected) == 1
    agreement = adjusted_rand_score(own, baseline)
    assert result.agreement == pytest.approx(agreement)
    assert logged["final/baseline_agreement"] == pytest.approx(agreement, abs=1e-6)
    assert row_of(printed, "agreement with baseline") == f"adjusted Rand index {agreement:.4f}"
    silhouettes = [silhouette_score(x, clusters) for clusters in (own, baseline)]
    assert [result.silhouette, result.baseline_silhouette] == pytest.approx(silhouettes, abs=1e-5)
    assert logged["final/baseline_silhouette_of_run"] == pytest.approx(silhouettes[0], abs=1e-5)
    assert logged["final/baseline_silhouette"] == pytest.approx(silhouettes[1], abs=1e-5)
    shown = row_of(printed, "silhouette")
    assert shown == f"{result.silhouette:.4f}, baseline {result.baseline_silhouette:.4f}, in the inputs"
    row = row_of(printed, "baseline")
    if labels == "none":
        assert result.scores == {}
        assert "ACC" not in row
        assert not {name for name in logged if name.endswith("_ari")}
        return
    y = np.arange(150) % 3
    scores = {
        "acc": accuracy(y, baseline),
        "nmi": normalized_mutual_info_score(y, baseline),
        "ari": adjusted_rand_score(y, baseline),
    }
    assert result.scores == pytest.approx(scores)
    for name, score in scores.items():
        assert f"{name.upper()} {score:.4f}" in row
        assert logged[f"final/baseline_{name}"] == pytest.approx(score, abs=1e-6)


def test_clusters_have_the_numbers_of_the_run(tmp_path: Path) -> None:
    run(tmp_path, dec(), Blobs())
    found = columns(tmp_path / "run/clusters.parquet")
    own, baseline = found["cluster"], found["cluster_baseline"]
    table = np.array([[(baseline[own == j] == k).sum() for k in range(3)] for j in range(3)])
    assert np.trace(table) == table[linear_sum_assignment(-table)].sum()


def test_many_inputs_are_compared_in_their_principal_components(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*DIGITS)
    found, logged = columns(RUN / "clusters.parquet"), scalars(RUN)
    data = DigitsDataModule(batch_size=64)
    data.setup("fit")
    x = inputs(data).astype(np.float64)
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    points = u[:, :50] * s[:50]
    expected = {name: silhouette_score(points, found[name]) for name in ("cluster", "cluster_baseline")}
    assert logged["final/baseline_silhouette_of_run"][-1].value == pytest.approx(expected["cluster"], abs=1e-5)
    assert logged["final/baseline_silhouette"][-1].value == pytest.approx(expected["cluster_baseline"], abs=1e-5)
    assert row_of(printed, "silhouette").endswith("in 50 principal components of the inputs")
    reference = KMeans(10, n_init=10, random_state=0).fit(x).inertia_
    assert inertia(x, found["cluster_baseline"]) == pytest.approx(reference, rel=5e-3)
    assert "There are no clusters" not in printed
    assert "follow a single input" not in printed


def test_sparse_inputs_are_clustered_as_dense_ones_are(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.poisson(np.where(np.arange(6) % 3 == np.arange(150)[:, None] % 3, 4.0, 0.3)).astype(np.float32)
    results = [
        run(tmp_path / str(kind), dec(), blobs(scipy.sparse.csr_array(x) if kind else x), Baseline()) for kind in (0, 1)
    ]
    assert results[0] is not None
    assert results[1] is not None
    np.testing.assert_array_equal(results[0].labels, results[1].labels)
    assert adjusted_rand_score(results[1].labels, KMeans(3, n_init=10, random_state=0).fit_predict(x)) == 1


@pytest.mark.parametrize("file_name", ["clusters.parquet", "clusters.npz"])
def test_clusters_that_are_written_in_pieces_have_the_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_name: str
) -> None:
    """Few samples choose the centroids, and no table of the final assignment is kept."""
    whole = run(tmp_path / "whole", dec(), Blobs(), Baseline(n_samples=60))
    monkeypatch.setattr("lightning_dc.training.final.LARGE_TABLE", 10)
    for name, module in list(sys.modules.items()):
        if name.startswith("lightning_dc.") and hasattr(module, "CHUNK_SIZE"):
            monkeypatch.setattr(module, "CHUNK_SIZE", 32)
    model = dec()
    pieces = run(tmp_path / "pieces", model, Blobs(), Baseline(n_samples=60), file_name=file_name)
    assert model.final.q is None
    assert whole is not None
    assert pieces is not None
    path = tmp_path / "pieces/run" / file_name
    found = dict(np.load(path)) if file_name.endswith("npz") else columns(path)
    np.testing.assert_array_equal(found["cluster_baseline"], whole.labels)
    np.testing.assert_array_equal(found["cluster_baseline"], pieces.labels)
    reference = KMeans(3, n_init=10, random_state=0).fit(inputs(Blobs()))
    assert adjusted_rand_score(found["cluster_baseline"], reference.labels_) > 0.9


def test_columns_of_clustering_again_come_beside_it(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*fit_of("DCN"), "--summary.recluster", "kmeans")
    assert {"cluster", "cluster_baseline", "cluster_kmeans"} <= columns(version(0) / "clusters.parquet").keys()


def test_the_report_can_be_left_out(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*fit_of("DCN"), "--baseline.enabled=false")
    assert "baseline" not in printed
    assert "cluster_baseline" not in columns(version(0) / "clusters.parquet")
    assert not [name for name in scalars(version(0)) if "baseline" in name]


def test_k_means_on_the_inputs_has_no_baseline(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli("fit", "--config", "kmeans_synthetic", "--trainer.accelerator=cpu")
    assert "baseline" not in printed
    assert "cluster_baseline" not in columns(Path("runs/kmeans_synthetic/version_0/clusters.parquet"))


def test_it_is_on_by_default_and_its_configuration_serves_predict(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*fit_of("AEKMeans"))
    assert row_of(printed, "baseline").startswith("k-means on the inputs, ACC ")
    config = version(0) / "config.yaml"
    assert "baseline:" in config.read_text()
    lightning_dc_cli("predict", "--config", config, "--ckpt_path", version(0), "--output.path=p.npz")


@pytest.mark.parametrize("flag", ["n_init", "n_samples"])
def test_bad_values_are_refused(lightning_dc_cli: CommandLine, flag: str) -> None:
    assert f"baseline.{flag}=0 must be at least 1" in lightning_dc_cli.fails(*fit_of("DCN"), f"--baseline.{flag}=0")


@pytest.mark.parametrize("part", ["baseline_labels", "fair_space"])
def test_a_baseline_that_fails_is_a_row_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(f"lightning_dc.reports.baseline.{part}", fail)
    assert run(tmp_path, dec(), Blobs()) is None
    printed = capsys.readouterr().out
    assert row_of(printed, "baseline") == "failed: MemoryError: no room"
    assert "ACC" in printed
    found = columns(tmp_path / "run/clusters.parquet")
    assert ("cluster_baseline" in found) == (part == "fair_space")
    assert len(found["cluster"]) == 150
    assert not [name for name in scalars(tmp_path / "run") if "baseline" in name]


def test_a_second_fit_has_a_comparison_of_its_own(tmp_path: Path) -> None:
    baseline = Baseline()
    first = run(tmp_path / "a", dec(), Blobs(), baseline)
    second = run(tmp_path / "b", dec(n_clusters=4), Blobs(), baseline)
    assert first is not None
    assert second is not None
    assert len(set(first.labels.tolist())) == 3
    assert len(set(second.labels.tolist())) == 4


def test_without_a_summary_the_comparison_is_an_attribute(tmp_path: Path) -> None:
    baseline, model = Baseline(), dec()
    trainer(tmp_path, baseline).fit(model, Blobs("none"))
    assert baseline.result is not None
    assert baseline.result.agreement == pytest.approx(adjusted_rand_score(model.final.labels, baseline.result.labels))


# ---- sentences ------------------------------------------------------------------------------------------------------


def test_plain_blobs_need_no_sentence(tmp_path: Path) -> None:
    pl.seed_everything(0, verbose=False)
    network = functools.partial(MLPAutoencoder, hidden_dims=[32], latent_dim=4)
    pretraining = PhaseConfig(max_epochs=30, loss_weights={"reconstruction": 1.0})
    result = run(tmp_path, AEKMeans((6,), 3, network, pretraining=pretraining), Blobs())
    assert result is not None
    assert result.notes == []


def test_noise_has_no_clusters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(tmp_path, dec(), blobs(np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)))
    assert result is not None
    (note,) = [note for note in result.notes if note.startswith("There are no clusters")]
    printed = capsys.readouterr().out
    assert printed.count(note) == 1
    assert printed.index(note) > printed.rindex("└")


def test_an_input_that_the_clusters_follow_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Named(Given):
        feature_names = ("a", "b", "weight_in_grams", "c", "d", "e")

    random = np.random.default_rng(0)
    x = random.normal(size=(300, 6)).astype(np.float32)
    x[:, 2] = 300 * (np.arange(300) % 3) + 30 * x[:, 2]
    result = run(tmp_path, dcn(), Named(Samples(x), batch_size=40))
    assert result is not None
    assert result.notes[0].startswith("The clusters follow a single input, weight_in_grams:")
    assert not [note for note in result.notes if note.startswith("There are no clusters")]
    assert capsys.readouterr().out.count(result.notes[0]) == 1


@pytest.mark.parametrize(
    ("scaling", "is_sparse", "has_flag"),
    [("rms", False, True), ("none", False, True), ("rms", True, False), ("unit", False, False)],
)
def test_the_flag_is_advised_where_it_helps(
    tmp_path: Path, scaling: ScalingName, is_sparse: bool, has_flag: bool
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 6)).astype(np.float32)
    x[:, 2] = 5 * (np.arange(300) % 3 - 1) + 0.2 * x[:, 2]
    given = blobs(scipy.sparse.csr_array(x) if is_sparse else x, scaling=scaling)
    result = run(tmp_path, GaussianMixture((6,), 3, autoencoder=Identity), given)
    assert result is not None
    (note,) = [note for note in result.notes if note.startswith("The clusters follow a single input")]
    assert ("--data.scaling standard" in note) == has_flag


def test_images_have_no_single_input(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 2, 3)).astype(np.float32)
    x[:, 0, 2] = 300 * (np.arange(300) % 3) + 30 * x[:, 0, 2]
    result = run(tmp_path, dcn(input_shape=(2, 3)), blobs(x))
    assert result is not None
    assert not [note for note in result.notes if "single input" in note]


@pytest.mark.parametrize(
    ("method", "n_notes"),
    [
        (dcn, 1),
        (dec, 1),
        (lambda: GaussianMixture((6,), 3, autoencoder=Identity), 0),
        (lambda: MergedKMeans((6,), 3, autoencoder=Identity, n_prototypes=6), 0),
    ],
)
def test_uneven_sizes_are_told_of_methods_that_favour_similar_sizes(
    tmp_path: Path, method: Callable[[], Any], n_notes: int
) -> None:
    random = np.random.default_rng(0)
    centres = random.normal(scale=8, size=(3, 6))
    x = centres[np.repeat([0, 1, 2], [400, 20, 20])] + random.normal(size=(440, 6))
    result = run(tmp_path, method(), blobs(x.astype(np.float32)))
    assert result is not None
    assert len([note for note in result.notes if "are uneven (from " in note]) == n_notes


def clumsy(**arguments: Any) -> AEKMeans:
    """K-means on the embedding by a random network with a single output."""
    pl.seed_everything(0, verbose=False)
    network = functools.partial(MLPAutoencoder, hidden_dims=[8], latent_dim=1)
    return AEKMeans((6,), 5, autoencoder=network, pretraining=PhaseConfig(), **arguments)


def test_worse_silhouettes_than_those_of_k_means_are_told(tmp_path: Path) -> None:
    result = run(tmp_path, clumsy(), Blobs())
    assert result is not None
    told = [note for note in result.notes if note.startswith("K-means on the inputs separates its clusters better")]
    assert len(told) == int(result.silhouette < result.baseline_silhouette - 0.05) == 1


def test_the_advised_run_is_the_baseline(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*fit_of("DCN"))
    lightning_dc_cli(
        *("fit", "--model", "AEKMeans", "--model.autoencoder", "Identity", "--model.pretraining.max_epochs", "0"),
        *("--model.n_clusters=4", "--data=SyntheticDataModule", "--data.n_samples=200", "--trainer.accelerator=cpu"),
    )
    baseline = columns(version(0) / "clusters.parquet")["cluster_baseline"]
    advised = columns(version(1) / "clusters.parquet")["cluster"]
    assert adjusted_rand_score(baseline, advised) > 0.95
