"""Tests of tables of the inputs against pandas on the raw data."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from matplotlib.figure import Figure
from scipy.sparse import csr_array
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import ArrayDataModule, ClusteringDataModule
from lightning_dc import AEKMeans, Identity, KMeansConfig, PhaseConfig
from lightning_dc.reports import FeatureTable
from lightning_dc.training import ClusteringModule, assign_all, record_figure, training_loader
from tests.conftest import CommandLine
from tests.helpers.fake_files import table_rows, write_table
from tests.helpers.methods import trainer

QUICK = (
    *("fit", "--config=dec_table", "--trainer.accelerator=cpu", "--model.n_clusters=3", "--model.kmeans.n_init=2"),
    *("--model.pretraining.max_steps=5", "--model.clustering.max_steps=5", "--trainer.enable_progress_bar=false"),
)
RUN = Path("runs/dec_table/version_0")
SCALINGS = ("none", "rms", "standard", "unit")


def write(tmp_path: Path) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Return flags for a table, and its inputs as pandas encodes them: categories one-hot, one input far from 0."""
    rows = [row | {"year": 2000.0 + row["age"] / 1e4} for row in table_rows()]
    names = ["gene_a", "gene_b", "age", "colour", "year"]
    path = write_table(tmp_path / "table.csv", rows, names)
    frame = pd.read_csv(path)
    one_hot = pd.get_dummies(frame, columns=["colour"], prefix_sep="=", dtype=float)
    roles = ("--data.guess_roles=false", "--data.categorical=colour")
    return (*QUICK, f"--data.path={path}", *roles), one_hot


@pytest.mark.parametrize("scaling", SCALINGS)
def test_means_are_those_of_the_raw_table(lightning_dc_cli: CommandLine, tmp_path: Path, scaling: str) -> None:
    flags, raw = write(tmp_path)
    lightning_dc_cli(*flags, f"--data.scaling={scaling}", "--data.val_fraction=0.3")
    clusters = pd.read_parquet(RUN / "clusters.parquet")
    training = raw.iloc[clusters["index"]]
    expected = training.groupby(clusters["cluster"].to_numpy()).mean()
    found = pd.read_csv(RUN / "features.csv")
    assert found["rank"].tolist() == list(range(1, 8))
    assert set(found["feature"]) == set(raw.columns)
    best = (
        found.filter(like="standardized_difference_").abs().max(axis=1).fillna(0.0)
    )  # none if one cluster has all samples
    assert best.is_monotonic_decreasing
    if scaling == "unit":  # the size of a sample cannot be restored
        assert not [name for name in found.columns if name.startswith("mean")]
        return
    for _, row in found.iterrows():
        column = training[row["feature"]]
        of_float32 = 0.0 if scaling == "standard" else 1e-7 * abs(column.mean())  # the inputs of the model
        close = {"abs": 1e-3 * column.std() + of_float32, "rel": 0}
        assert row["mean"] == pytest.approx(column.mean(), **close)
        for k in range(3):
            if k in expected.index:
                assert row[f"mean_cluster_{k}"] == pytest.approx(expected.loc[k, row["feature"]], **close)
            else:
                assert np.isnan(row[f"mean_cluster_{k}"])


def test_digits_are_those_that_the_spread_gives_a_meaning(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    flags, raw = write(tmp_path)
    lightning_dc_cli(*flags)
    found = pd.read_csv(RUN / "features.csv", dtype=str).set_index("feature")
    assert found.loc["age", "mean"] == f"{raw['age'].mean():.2f}"  # the standard deviation is 16.4
    assert found.loc["year", "mean"] == f"{raw['year'].mean():.6f}"  # 0.00164
    assert found.loc["colour=red", "mean"] == "0.3333"  # a share


class SparseCounts(ArrayDataModule):
    """DataModule of logarithms of counts in a sparse matrix."""

    feature_names = tuple("abcdef")

    def __init__(self) -> None:
        counts = np.random.default_rng(0).poisson(np.arange(1, 7) * (1 + np.arange(90)[:, None] % 3) / 4)
        super().__init__(csr_array(np.log1p(counts)), scaling="rms")


def test_sparse_logarithms_of_counts_have_their_means(tmp_path: Path) -> None:
    data = SparseCounts()
    model = AEKMeans((6,), 3, autoencoder=Identity, pretraining=PhaseConfig(), kmeans=KMeansConfig(2))
    run = trainer(tmp_path, FeatureTable("inputs.csv"), logger=CSVLogger(tmp_path, version=0))
    run.fit(model, data)
    labels = assign_all(model, training_loader(model)).labels.numpy()
    raw = pd.DataFrame(data.x.toarray(), columns=list(data.feature_names))
    expected = raw.groupby(labels).mean()
    found = pd.read_csv(Path(run.log_dir) / "inputs.csv").set_index("feature").loc[list(data.feature_names)]
    assert "importance" not in found  # the method has no importances
    for figure in ("inputs_clusters.png", "clusters_representation.png"):  # as the logger takes no figures
        assert (Path(run.log_dir) / figure).read_bytes().startswith(b"\x89PNG")
    for k in range(3):
        np.testing.assert_allclose(found[f"mean_cluster_{k}"], expected.loc[k], atol=1e-3)
        own, rest = raw[labels == k], raw[labels != k]
        pooled = ((len(own) - 1) * own.var() + (len(rest) - 1) * rest.var()) / (len(raw) - 2)
        difference = (own.mean() - rest.mean()) / np.sqrt(pooled)
        np.testing.assert_allclose(found[f"standardized_difference_cluster_{k}"], difference, atol=1e-3)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Return a dictionary of the figures of a run by name, as they go to TensorBoard."""
    found: dict[str, Figure] = {}

    def record(module: ClusteringModule, name: str, figure: Figure) -> None:
        found[name] = figure
        record_figure(module, name, figure)

    monkeypatch.setattr("lightning_dc.reports.feature_table.record_figure", record)
    return found


def kmeans_flags(path: Path, n_clusters: int) -> tuple[str, ...]:
    """Return flags that fit k-means to the inputs of a table."""
    data = ("--data=TableDataModule", f"--data.path={path}")
    model = ("--model=AEKMeans", "--model.autoencoder=lightning_dc.Identity", "--model.pretraining.max_epochs=0")
    return ("fit", *model, f"--model.n_clusters={n_clusters}", *data, "--trainer.accelerator=cpu")


@pytest.mark.filterwarnings("error:constrained_layout")
def test_names_of_any_length_fit_the_figure_as_they_are(
    lightning_dc_cli: CommandLine, tmp_path: Path, figures: dict[str, Figure]
) -> None:
    names = ["pay_$_per_$", "m" * 57 + "_60", "n" * 146 + "_150"]
    x = np.random.default_rng(0).normal(size=(60, 3))
    path = write_table(tmp_path / "table.csv", [dict(zip(names, row, strict=True)) for row in x.tolist()])
    lightning_dc_cli(*kmeans_flags(path, 12))
    assert set(pd.read_csv("runs/run/version_0/features.csv")["feature"]) == set(names)
    figure = figures["inputs/clusters"]
    heat, bar = figure.axes
    drawn = [label.get_text() for label in heat.get_yticklabels()]
    assert sorted(drawn) == sorted(
        ["pay_$_per_$", "m" * 20 + "…" + "m" * 16 + "_60", "n" * 20 + "…" + "n" * 15 + "_150"]
    )
    assert [label.get_text() for label in heat.get_xticklabels()] == [str(k) for k in range(12)]
    boxes = [label.get_window_extent() for label in heat.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    for text in (bar.yaxis.label, *heat.get_yticklabels()):
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1


def test_a_hundred_clusters_have_numbers_that_can_be_read(
    lightning_dc_cli: CommandLine, tmp_path: Path, figures: dict[str, Figure]
) -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    path = write_table(tmp_path / "table.csv", [{"a": a, "b": b} for a, b in x.tolist()])
    lightning_dc_cli(*kmeans_flags(path, 100))
    boxes = [label.get_window_extent() for label in figures["inputs/clusters"].axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_one_input_has_no_second_component(
    lightning_dc_cli: CommandLine, tmp_path: Path, figures: dict[str, Figure]
) -> None:
    x = np.random.default_rng(0).normal(size=60)
    path = write_table(tmp_path / "table.csv", [{"a": a} for a in x.tolist()])
    lightning_dc_cli(*kmeans_flags(path, 2))
    panels = figures["clusters/representation"].axes
    assert [axes.get_title() for axes in panels] == ["representation", "scaled inputs"]
    for axes in panels:
        first, second = axes.collections[0].get_offsets().T
        assert np.abs(np.corrcoef(first, x)[0, 1]) == pytest.approx(1.0)
        assert (second == 0).all()
        assert axes.get_ylabel() == ""


def test_a_cluster_without_samples_has_empty_fields(tmp_path: Path) -> None:
    data = SparseCounts()
    model = AEKMeans((6,), 3, autoencoder=Identity, pretraining=PhaseConfig(), kmeans=KMeansConfig(2))
    table = FeatureTable("inputs.csv")
    run = trainer(tmp_path, logger=CSVLogger(tmp_path, version=0))
    run.fit(model, data)
    with torch.no_grad():
        model.model.head.centroids[1] = 1e3
    model.final = None  # which was that of the centroids before
    table.on_train_end(run, model)
    found = pd.read_csv(Path(run.log_dir) / "inputs.csv", dtype=str, keep_default_na=False)
    assert (found[["mean_cluster_1", "standardized_difference_cluster_1"]] == "").all(axis=None)
    others = found[[f"{column}_cluster_{k}" for column in ("mean", "standardized_difference") for k in (0, 2)]]
    assert np.isfinite(others.astype(float)).all(axis=None)


def test_a_method_in_bfloat16_has_its_table(lightning_dc_cli: CommandLine) -> None:
    quick = ("--model.pretraining.max_epochs=1", "--model.joint.max_epochs=1", "--trainer.accelerator=cpu")
    lightning_dc_cli("fit", "--config=deeptype_synthetic", *quick, "--trainer.precision=bf16-true")
    assert len(pd.read_csv("runs/deeptype_synthetic/version_0/features.csv")) == 20


def test_both_figures_are_drawn(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    lightning_dc_cli(*write(tmp_path)[0])
    events = EventAccumulator(str(RUN))
    events.Reload()
    assert set(events.Tags()["images"]) == {"inputs/clusters", "clusters/representation", "clusters/reliability"}


def test_a_category_that_is_a_cluster_differs_infinitely(
    lightning_dc_cli: CommandLine, tmp_path: Path, figures: dict[str, Figure]
) -> None:
    path = write_table(tmp_path / "table.csv", [{"kind": "xy"[row % 2]} for row in range(60)])
    lightning_dc_cli(*kmeans_flags(path, 2), "--data.categorical=kind")
    found = pd.read_csv("runs/run/version_0/features.csv").filter(like="standardized_difference_")
    assert np.isinf(found).all(axis=None)
    heat, _ = figures["inputs/clusters"].axes
    cells = {text.get_position(): text.get_text() for text in heat.texts}
    assert cells == {(k, j): "∞" if found.iloc[j, k] > 0 else "-∞" for j in range(2) for k in range(2)}
    assert heat.images[0].get_clim() == (-1.0, 1.0)  # nothing is finite


def test_without_names_or_a_file_name_there_is_no_table(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lightning_dc_cli("fit", "--config=kmeans_digits", "--model.kmeans.n_init=1", "--trainer.accelerator=cpu")
    lightning_dc_cli(*write(tmp_path)[0], "--features.file_name=null")
    monkeypatch.setattr(ClusteringDataModule, "has_terms", True)  # they are in terms.csv
    lightning_dc_cli(*write(tmp_path)[0])
    assert len(list(Path("runs").rglob("clusters.parquet"))) == 3
    assert not list(Path("runs").rglob("features.csv"))


def test_another_ending_is_refused_before_training(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    message = lightning_dc_cli.fails(*write(tmp_path)[0], "--features.file_name=features.xlsx")
    assert "features.file_name='features.xlsx' must end in .csv" in message
