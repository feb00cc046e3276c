"""Tests of terms of clusters against pandas."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from datamodules import ArrayDataModule
from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.reports.top_terms import TopTerm, top_terms
from tests.conftest import CommandLine
from tests.helpers.command_line import QUICK
from tests.helpers.fake_reuters import write_fake_reuters
from tests.helpers.processes import run_on_two_processes

N_SAMPLES, N_FEATURES, N_CLUSTERS = 2 * CHUNK_SIZE + 100, 12, 5
NAMES = [f"word{j}" for j in range(N_FEATURES)]


def samples() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.random((N_SAMPLES, N_FEATURES)) * (random.random((N_SAMPLES, N_FEATURES)) < 0.3)
    return x.astype("f4"), random.integers(0, N_CLUSTERS - 1, N_SAMPLES)  # the last cluster is empty


def terms_of(rank: int, *, sparse: bool = False) -> list[TopTerm]:
    x, labels = samples()
    data = ArrayDataModule(scipy.sparse.csr_array(x) if sparse else x, scaling="none")
    return top_terms(data.train_dataloader(), torch.from_numpy(labels), N_CLUSTERS, NAMES, 4)


@pytest.mark.parametrize("sparse", [False, True])
def test_terms_are_those_of_the_largest_difference_of_means(sparse: bool) -> None:
    x, labels = samples()
    frame = pd.DataFrame(x.astype("f8"), columns=NAMES)
    expected = []
    for k in range(N_CLUSTERS - 1):
        mean, rest = frame[labels == k].mean(), frame[labels != k].mean()
        best = (mean - rest).sort_values(ascending=False)
        best = best[best > 0].head(4)
        expected += [(k, i, name, mean[name], rest[name]) for i, name in enumerate(best.index, 1)]
    found = terms_of(0, sparse=sparse)
    assert [term[:3] for term in found] == [row[:3] for row in expected]
    np.testing.assert_allclose([term[3:] for term in found], [row[3:] for row in expected], rtol=1e-5)


@pytest.mark.distributed
def test_processes_share_the_work(tmp_path: Path) -> None:
    alone = terms_of(0)
    for shared in run_on_two_processes(_terms_as_tuples, tmp_path):
        assert [term[:3] for term in shared] == [term[:3] for term in alone]
        np.testing.assert_allclose([term[3:] for term in shared], [term[3:] for term in alone], rtol=1e-12)


def _terms_as_tuples(rank: int) -> list[tuple[object, ...]]:
    return [tuple(term) for term in terms_of(rank)]


class LabelsElsewhere(torch.Tensor):
    """Labels that claim to be on another device."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # results of operations are ordinary tensors

    @property
    def device(self) -> torch.device:
        return torch.device("meta")


def test_sums_are_shared_on_the_device_of_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sum like NCCL, which refuses tensors in main memory."""
    x, labels = samples()
    expected, shared = terms_of(0), []

    def sum_(tensor: torch.Tensor) -> torch.Tensor:
        shared.append(tensor.device.type)
        wide = torch.from_numpy(x).double() - torch.from_numpy(x[0]).double()
        return torch.stack([torch.stack([v[labels == k].sum(0) for k in range(N_CLUSTERS)]) for v in (wide, wide**2)])

    # the package has a function of that name
    module = importlib.import_module("lightning_dc.reports.input_statistics")
    monkeypatch.setattr(module, "sum_", sum_)
    loader = ArrayDataModule(x, scaling="none").train_dataloader()
    elsewhere = torch.from_numpy(labels).as_subclass(LabelsElsewhere)
    found = top_terms(loader, elsewhere, N_CLUSTERS, NAMES, 4)
    assert shared == ["meta"]
    assert [term[:3] for term in found] == [term[:3] for term in expected]


def test_one_cluster_has_no_rest() -> None:
    data = ArrayDataModule(samples()[0], scaling="none")
    assert top_terms(data.train_dataloader(), torch.zeros(N_SAMPLES, dtype=torch.int32), 1, NAMES, 4) == []


def test_a_run_on_news_writes_and_prints_its_terms(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    folder = write_fake_reuters(tmp_path / "news")
    flags = [flag for flag in QUICK if "layerwise" not in flag]
    data = ("--data.folder", folder, "--data.n_words=60", "--summary.n_terms=3")
    printed = lightning_dc_cli("fit", "--config", "dec_reuters", *flags, *data)
    run = tmp_path / "runs/dec_reuters/version_0"
    terms, clusters = pd.read_csv(run / "terms.csv"), pd.read_parquet(run / "clusters.parquet")
    assert terms.columns.tolist() == ["cluster", "rank", "term", "mean", "mean_of_rest"]
    assert set(terms["cluster"]) == set(clusters["cluster"])
    assert terms.groupby("cluster").size().max() == 3
    assert (terms["mean"] > terms["mean_of_rest"]).all()
    for cluster, found in terms.groupby("cluster"):
        row = next(line for line in printed.splitlines() if f"│ terms of {cluster} " in line)
        assert " ".join(found["term"]) in row
    lightning_dc_cli("fit", "--config", "dec_reuters", *flags, *data, "--summary.n_terms=0")
    assert not (tmp_path / "runs/dec_reuters/version_1/terms.csv").exists()


def test_data_without_names_have_no_terms(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    printed = lightning_dc_cli("fit", "--config", "kmeans_digits", "--model.kmeans.n_init=1")
    assert "terms of" not in printed
    assert not list(tmp_path.rglob("terms.csv"))
    message = lightning_dc_cli.fails("fit", "--config", "kmeans_digits", "--summary.n_terms=-1")
    assert "summary.n_terms=-1 must not be negative" in message


def test_names_of_another_number_are_refused_before_training(
    lightning_dc_cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datamodules.DigitsDataModule.feature_names", property(lambda self: ["a", "b"]))
    message = lightning_dc_cli.fails("fit", "--config", "kmeans_digits", "--model.kmeans.n_init=1")
    assert "feature_names has 2 names, but a sample has 64 features" in message


def test_inputs_that_are_no_terms_are_not_listed(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli("fit", "--config", "kmeans_synthetic", "--trainer.accelerator=cpu")
    assert "cluster sizes" in printed
    assert "terms of" not in printed


def test_terms_heavier_in_a_cluster_are_its_own() -> None:
    data = ArrayDataModule(torch.tensor([[1.0, 0.0], [1.0, 0.5], [0.0, 2.0]]), scaling="none")
    terms = top_terms(data.train_dataloader(), torch.tensor([0, 0, 1]), 2, ["oil", "grain"], 1)
    assert [(term.cluster, term.term) for term in terms] == [(0, "oil"), (1, "grain")]
