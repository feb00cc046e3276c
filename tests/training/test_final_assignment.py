"""The end of a fit: one pass over the training set, whose result is kept."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from pyarrow import parquet
from torch import Tensor

from datamodules import SyntheticDataModule
from lightning_dc import AEKMeans, DeepType, Identity, KMeansConfig, PhaseConfig, RefreshConfig
from lightning_dc.model import ClusteringModel
from lightning_dc.reports import FeatureTable, OutcomeTables, RunSummary
from lightning_dc.training import FinalReader
from tests.helpers.methods import Blobs, dec, trainer


class EncodedRows(pl.Callback):
    """Counts the samples that the model encodes once training has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_rows = 0
        self._counts = False
        encode = ClusteringModel.encode

        def counted(model: ClusteringModel, x: Tensor, *args: Any) -> Any:
            self.n_rows += len(x) if self._counts else 0
            return encode(model, x, *args)

        monkeypatch.setattr(ClusteringModel, "encode", counted)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._counts = True


def deeptype(data: SyntheticDataModule) -> DeepType:
    short = PhaseConfig(max_steps=4, loss_weights={"task": 1.0})
    return DeepType((20,), data.target_spec, 4, pretraining=short, joint=short, kmeans=KMeansConfig(2))


@pytest.mark.parametrize("recluster", [(), ("kmeans",)])
@pytest.mark.parametrize("order", [1, -1])
def test_each_sample_is_embedded_once_for_all_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recluster: Any, order: int
) -> None:
    """With labels, named inputs, survival times and a held-out share; in any order of the reports."""
    data = SyntheticDataModule(n_samples=500, target="survival", scaling="standard", val_fraction=0.3)
    reports = [RunSummary(recluster=recluster), FeatureTable(), OutcomeTables()][::order]
    count = EncodedRows(monkeypatch)
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    trainer(tmp_path, count, *reports, logger=logger).fit(deeptype(data), data)
    assert count.n_rows == 350 + 150
    for name in ("clusters.parquet", "features.csv", "outcomes.csv"):
        assert (tmp_path / "run" / name).exists()


def test_a_fit_without_reports_has_its_final_assignment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data, count = dec(), Blobs(), EncodedRows(monkeypatch)
    run = trainer(tmp_path, count)
    run.fit(model, data)
    assert count.n_rows == 150
    assert model.final is not None
    predicted = run.predict(model, data)
    assert predicted is not None
    for name, table in (("q", model.final.q), ("z", model.final.z)):
        assert table is not None
        torch.testing.assert_close(table, torch.cat([batch[name] for batch in predicted]))
    assert torch.equal(model.final.labels, torch.cat([batch["q"] for batch in predicted]).argmax(1))


def test_labels_are_those_of_the_final_model_and_not_of_the_last_refresh(tmp_path: Path) -> None:
    """One refresh at the beginning, then long training: some labels change."""
    clustering = PhaseConfig(max_epochs=30, loss_weights={"kl": 1.0}, optimizer=torch.optim.Adam)
    model = dec(clustering=clustering, refresh=RefreshConfig(), n_clusters=8)
    trainer(tmp_path).fit(model, Blobs())
    assert model.final is not None
    assert model.state.assignments is not None
    assert not torch.equal(model.final.labels, model.state.assignments.labels)
    x = Blobs().train_dataloader().read(0, 150).x
    assert torch.equal(model.final.labels, model.eval()(x).argmax(1))


def test_a_second_fit_replaces_the_first_ones(tmp_path: Path) -> None:
    model = dec()
    trainer(tmp_path).fit(model, Blobs())
    first = model.final
    trainer(tmp_path).fit(model, Blobs())
    assert model.final is not first
    trainer(tmp_path, max_steps=2).fit(model, Blobs())  # which ends before there are clusters
    assert model.final is None


@pytest.mark.parametrize("keeps", [False, True])
def test_large_tables_are_not_kept_but_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool) -> None:
    monkeypatch.setattr("lightning_dc.training.final.LARGE_TABLE", 150 * 3 - 1)
    model = dec()
    summary = RunSummary(recluster=["kmeans"] if keeps else [])
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    trainer(tmp_path, summary, logger=logger).fit(model, Blobs())
    assert model.final is not None
    assert (model.final.q is not None) is keeps
    assert (model.final.z is not None) is keeps
    table = parquet.read_table(tmp_path / "run/clusters.parquet")
    assert table["cluster"].to_pylist() == model.final.labels.tolist()
    z = np.stack([table[f"z_{j}"].to_numpy() for j in range(2)], 1)
    x = Blobs().train_dataloader().read(0, 150).x
    np.testing.assert_allclose(z, model.eval().embed(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_report_that_fails_leaves_no_half_written_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another report asks for the pass, in which the file of clusters is opened, and fails before it is closed."""

    class Failing(FeatureTable):
        def collect(self, *args: Any) -> Any:
            raise RuntimeError("no table today")

    model = AEKMeans((20,), 4, Identity, pretraining=PhaseConfig(), kmeans=KMeansConfig(1))
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    run = trainer(tmp_path, Failing(), RunSummary(), logger=logger)
    with pytest.raises(RuntimeError, match="no table today"):
        run.fit(model, SyntheticDataModule(n_samples=100, target="class"))
    assert not [path for path in (tmp_path / "run").iterdir() if "clusters" in path.name]


def test_a_fitted_method_can_be_pickled_and_copied(tmp_path: Path) -> None:
    model = dec()
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    trainer(tmp_path, RunSummary(), logger=logger).fit(model, Blobs())
    x = Blobs().train_dataloader().read(0, 150).x
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(again.eval()(x), model.eval()(x))


def test_another_checkpoint_forgets_the_final_assignment(tmp_path: Path) -> None:
    model, run = dec(), trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "model.ckpt")
    assert model.final is not None
    run.validate(model, Blobs(), ckpt_path=tmp_path / "model.ckpt", verbose=False)
    assert model.final is None


def test_a_reader_may_need_large_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reader(FinalReader):
        needs_tables = True

    monkeypatch.setattr("lightning_dc.training.final.LARGE_TABLE", 10)
    model = dec()
    trainer(tmp_path, Reader()).fit(model, Blobs())
    assert model.final is not None
    assert model.final.z is not None
