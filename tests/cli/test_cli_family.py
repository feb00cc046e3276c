"""Tests of the command line with k-means, DCN and IDEC, and of further steps before and after a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import parquet
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from datamodules import SyntheticDataModule
from lightning_dc import AEKMeans
from tests.conftest import CommandLine
from tests.helpers.command_line import DATA, WIDTHS, fit_of, scalars, version

NO_PRETRAINING = ("--model.pretraining.max_epochs=0", "--model.layerwise.max_epochs=0")
RUN = Path("runs/run/version_0")
CHECKPOINT = RUN / "checkpoints/last.ckpt"


def autoencoder_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("model.network.")}


def columns(path: Path) -> dict[str, np.ndarray]:
    table = parquet.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


def row_of(printed: str, name: str) -> str:
    return next(line.split("│")[2].strip() for line in printed.splitlines() if f"│ {name} " in line)


@pytest.mark.parametrize("method", ["DCN", "IDEC"])
def test_a_method_needs_no_configuration_file(lightning_dc_cli: CommandLine, method: str) -> None:
    printed = lightning_dc_cli(*fit_of(method))
    assert "ACC" in printed
    clusters = columns(RUN / "clusters.parquet")
    assert clusters["index"].tolist() == list(range(200))
    assert set(clusters["cluster"].tolist()) <= {0, 1, 2, 3}
    assert {"z_0", "z_2"} <= clusters.keys()
    soft = {"confidence", "q_3"} & clusters.keys()
    assert soft == (set() if method == "DCN" else {"confidence", "q_3"})  # k-means has no confidence
    assert ("entropy" in printed) == (method != "DCN")


def test_clustering_again_adds_columns_rows_and_scalars(lightning_dc_cli: CommandLine) -> None:
    again = ("kmeans", "gaussian_mixture")
    printed = lightning_dc_cli(*fit_of("DCN"), "--summary.recluster", "[kmeans,gaussian_mixture]")
    clusters, logged = columns(RUN / "clusters.parquet"), scalars(RUN)
    y = np.asarray(SyntheticDataModule(n_samples=200).load().y)
    for name in again:
        labels = clusters[f"cluster_{name}"]
        assert np.issubdtype(labels.dtype, np.integer)
        assert set(labels.tolist()) == {0, 1, 2, 3}
        for score, reference in (("nmi", normalized_mutual_info_score), ("ari", adjusted_rand_score)):
            expected = reference(y, labels)
            assert logged[f"final/{name}_{score}"][-1].value == pytest.approx(expected, abs=1e-5)
            assert f"{score.upper()} {expected:.4f}" in row_of(printed, f"again: {name}")
        assert f"final/{name}_acc" in logged
        assert "4 clusters" in row_of(printed, f"again: {name}")
    # Clusters have the numbers of the model where possible: no other numbering agrees with it more often.
    own = clusters["cluster"]
    table = np.array([[(clusters["cluster_kmeans"][own == j] == k).sum() for k in range(4)] for j in range(4)])
    assert np.trace(table) == table[linear_sum_assignment(-table)].sum()
    # The inertia of k-means over the whole set is not above that of the run's own centroids.
    z = np.stack([clusters[f"z_{j}"] for j in range(3)], 1).astype(np.float64)
    inertia = [
        sum(((z[of == k] - z[of == k].mean(0)) ** 2).sum() for k in np.unique(of))
        for of in (clusters["cluster_kmeans"], own)
    ]
    assert inertia[0] <= 1.001 * inertia[1]


def test_clustering_again_may_be_one_algorithm_and_find_noise(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*fit_of("AEKMeans"), "--summary.recluster", "hdbscan", "--summary.embedding", "false")
    clusters = columns(RUN / "clusters.parquet")
    assert clusters["cluster_hdbscan"].min() >= -1
    noise = (clusters["cluster_hdbscan"] < 0).mean()
    assert ("noise" in row_of(printed, "again: hdbscan")) is bool(noise > 0)
    assert len(set(clusters["cluster_hdbscan"].tolist()) - {-1}) == int(
        row_of(printed, "again: hdbscan").split(" clusters")[0].split(", ")[-1]
    )


def test_embeddings_can_be_left_out(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*fit_of("IDEC"), "--summary.embedding", "false", "--summary.recluster", "kmeans")
    clusters = columns(RUN / "clusters.parquet")
    assert not [name for name in clusters if name.startswith("z_")]
    assert {"q_0", "q_3", "cluster_kmeans"} <= clusters.keys()
    lightning_dc_cli(*fit_of("IDEC"), "--summary.embedding=false", "--summary.file_name=clusters.npz")
    names = ["cluster", "cluster_baseline", "confidence", "head_stability", "index", "q"]
    assert sorted(np.load(version(1) / "clusters.npz")) == names


def test_an_unknown_algorithm_is_refused_before_training(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    message = lightning_dc_cli.fails(*fit_of("DCN"), "--summary.recluster", "[kmeans,dbscan]")
    assert "dbscan" in message
    assert "gaussian_mixture" in message
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_run_starts_from_the_autoencoder_of_another(lightning_dc_cli: CommandLine) -> None:
    """Run AE+k-means, then IDEC from its autoencoder, then DCN from the autoencoder of IDEC."""
    frozen = ("--model.clustering.optimizer=torch.optim.SGD", "--model.clustering.optimizer.lr=0.0")
    lightning_dc_cli(*fit_of("AEKMeans"))
    first = autoencoder_of(CHECKPOINT)
    printed = lightning_dc_cli(
        *("fit", "--model=IDEC", "--model.n_clusters=4", *WIDTHS, *DATA, *NO_PRETRAINING),
        *("--model.clustering.max_steps=2", *frozen, "--init_from", CHECKPOINT, "--seed_everything=5"),
    )
    assert "seconds pretraining" not in printed
    second = autoencoder_of(version(1) / "checkpoints/last.ckpt")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    lightning_dc_cli(
        *("fit", "--model=DCN", "--model.n_clusters=5", *WIDTHS, *DATA, *NO_PRETRAINING),
        *("--model.clustering.max_steps=2", *frozen, f"--init_from={version(1)}/checkpoints/last.ckpt"),
    )
    third = autoencoder_of(version(2) / "checkpoints/last.ckpt")
    assert all(torch.equal(first[name], third[name]) for name in first)
    z = [columns(version(number) / "clusters.parquet")["z_1"] for number in range(3)]
    np.testing.assert_allclose(z[1], z[0], rtol=1e-5)
    np.testing.assert_allclose(z[2], z[0], rtol=1e-5)


def test_training_goes_on_from_the_given_autoencoder(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*fit_of("AEKMeans"))
    lightning_dc_cli(*fit_of("IDEC", "--init_from", CHECKPOINT))
    first, second = autoencoder_of(CHECKPOINT), autoencoder_of(version(1) / "checkpoints/last.ckpt")
    assert not any(torch.equal(first[name], second[name]) for name in first)


def test_autoencoders_that_can_not_be_taken(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    lightning_dc_cli(*fit_of("AEKMeans"))
    wide = fit_of("IDEC", "--model.autoencoder.hidden_dims=[9]", "--init_from", CHECKPOINT)
    message = lightning_dc_cli.fails(*wide)
    assert "init_from names a checkpoint where model.network." in message
    assert "8" in message.partition("has shape")[2].partition("but here")[0]
    assert "9" in message.partition("but here it has")[2]
    Path("garbage.ckpt").write_bytes(b"no checkpoint at all")
    torch.save({"epoch": 1}, "other.ckpt")
    for name, reason in (
        ("garbage.ckpt", "can't be read as a checkpoint ("),
        ("other.ckpt", "is not a checkpoint of lightning_dc, but a mapping with epoch"),
        ("missing.ckpt", "is no file"),
    ):
        assert f"init_from='{name}' {reason}" in lightning_dc_cli.fails(*fit_of("IDEC", "--init_from", name))
    assert list(tmp_path.rglob("*.ckpt")).count(tmp_path / CHECKPOINT) == 1
    assert not (tmp_path / version(1) / "checkpoints").exists()
    assert not (tmp_path / version(1) / "clusters.parquet").exists()


def test_validate_test_and_predict_of_ae_kmeans(lightning_dc_cli: CommandLine) -> None:
    acc = row_of(lightning_dc_cli(*fit_of("AEKMeans")), "ACC")
    clusters = columns(RUN / "clusters.parquet")
    for command, prefix in (("validate", "val"), ("test", "test")):
        printed = lightning_dc_cli(command, *DATA, "--ckpt_path", CHECKPOINT)
        value = next(line.split()[-1] for line in printed.splitlines() if f"{prefix}/acc" in line)
        assert float(value) == pytest.approx(float(acc), abs=1e-4)
    lightning_dc_cli("predict", *DATA, "--ckpt_path", CHECKPOINT, "--output.path=new.npz")
    arrays = np.load("new.npz")
    np.testing.assert_array_equal(arrays["cluster"], clusters["cluster"])
    assert sorted(arrays) == ["cluster", "index", "z"]
    model = AEKMeans.load_from_checkpoint(CHECKPOINT, weights_only=True)
    nearest = cdist(arrays["z"], model.model.head.centroids.detach().numpy()).argmin(1)
    np.testing.assert_array_equal(arrays["cluster"], nearest)


@pytest.mark.parametrize(
    ("method", "flag", "expected"),
    [
        ("DCN", "--model.clustering.trainable=[head]", "trainable of DCN's clustering names head"),
        ("DCN", "--model.refresh.every_n_steps=0", "every_n_steps=0 between two refreshes must be at least 1"),
        ("DCN", "--model.refresh={every_n_steps: 5, every_n_epochs: 1}", "to refresh by steps add every_n_epochs=null"),
        ("DCN", "--model.clustering.loss_weights={kl: 1.0}", "name ['kl']; choose from reconstruction, kmeans"),
        ("IDEC", "--model.clustering.loss_weights={kmeans: 1.0}", "name ['kmeans']; choose from reconstruction, kl"),
        ("AEKMeans", "--model.n_clusters=201", "n_clusters=201 is more than the 200 samples"),
    ],
)
def test_bad_values(lightning_dc_cli: CommandLine, tmp_path: Path, method: str, flag: str, expected: str) -> None:
    assert expected in lightning_dc_cli.fails(*fit_of(method, flag))
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("saved", [False, True])
def test_a_configuration_of_a_fit_serves_the_other_subcommands(lightning_dc_cli: CommandLine, saved: bool) -> None:
    lightning_dc_cli("fit", "--config", "kmeans_digits", "--trainer.accelerator=cpu", "--model.kmeans.n_init=2")
    run = Path("runs/kmeans_digits/version_0")
    config = run / "config.yaml" if saved else "kmeans_digits"
    for command in ("validate", "test", "predict"):
        printed = lightning_dc_cli(command, "--config", config, "--ckpt_path", run / "checkpoints/last.ckpt")
        assert ("1797 predictions" if command == "predict" else "acc") in printed


def test_an_algorithm_that_fails_leaves_the_table_and_the_others(
    lightning_dc_cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise MemoryError("no room for a graph")

    monkeypatch.setattr("sklearn.cluster.SpectralClustering.fit_predict", fail)
    printed = lightning_dc_cli(*fit_of("IDEC"), "--summary.recluster=[spectral,kmeans]")
    assert "failed: MemoryError: no room for a graph" in row_of(printed, "again: spectral")
    assert "ACC" in row_of(printed, "again: kmeans")
    found = columns(RUN / "clusters.parquet").keys()
    assert "cluster_kmeans" in found
    assert "cluster_spectral" not in found


GROUPED = """
from datamodules import SyntheticDataModule

class Grouped(SyntheticDataModule):
    @property
    def feature_groups(self):
        return [[0, 1], [2, 3, 4], *([j] for j in range(5, 20))]
"""


def test_deeptype_is_applied_to_samples_without_targets_and_groups(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grouped_samples.py").write_text(GROUPED)
    monkeypatch.syspath_prepend(tmp_path)
    phases = [f"--model.{phase}.max_steps=4" for phase in ("pretraining", "joint")]
    encoder = ("--model.encoder.hidden_dims=[8,4]", "--model.n_clusters=4")
    method = ("--model=DeepType", "--model.encoder=MLPEncoder", *encoder, *phases)
    lightning_dc_cli(
        "fit", *method, "--data=grouped_samples.Grouped", "--data.target=class", "--data.scaling=standard", *DATA[1:]
    )
    for command in ("predict", "validate"):
        lightning_dc_cli(command, *DATA, "--data.scaling=none", "--ckpt_path", CHECKPOINT)
    fitted, predicted = columns(RUN / "clusters.parquet"), columns(Path("predictions.parquet"))
    assert predicted["cluster"].tolist() == fitted["cluster"].tolist()
    np.testing.assert_allclose(predicted["z_3"], fitted["z_3"], rtol=1e-5)
    refused = lightning_dc_cli.fails("fit", *DATA, "--ckpt_path", CHECKPOINT)  # training needs targets
    assert "target_spec is None, but DeepType learns a target" in refused
