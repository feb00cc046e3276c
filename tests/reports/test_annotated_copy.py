"""Tests of copies of the user's data with the clusters, which are read by pandas and anndata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
from lightning.pytorch.loggers import CSVLogger

from datamodules import AnnDataModule
from lightning_dc import GaussianMixture, Identity
from lightning_dc.errors import InputError
from lightning_dc.reports import AnnotatedCopy, DocumentTable, FeatureTable, OutcomeTables, RunSummary
from tests.conftest import CommandLine
from tests.helpers.command_line import QUICK
from tests.helpers.fake_files import counts, table_rows, texts, write_fake_cells, write_fake_texts
from tests.helpers.methods import dec, trainer

RUN = Path("runs/run/version_0")
FIT = ("fit", "--model=DEC", "--model.n_clusters=3", *QUICK)
HARD = (
    *("fit", "--model=AEKMeans", "--model.n_clusters=3", "--model.autoencoder=Identity"),
    *("--model.pretraining.max_epochs=0", "--trainer.accelerator=cpu"),
)
TABLE = ("--data=TableDataModule", "--data.columns=[gene_*,age]", "--data.id_column=patient", "--data.batch_size=16")


def frame() -> pd.DataFrame:
    rows = table_rows()
    for i, row in enumerate(rows):
        row["code"] = f"{i:04d}"  # zeros at the beginning
        row["note"] = ["NA", "", 'say "a, b"', "two\nlines"][i % 4]
    return pd.DataFrame(rows)


def assert_clusters(found: pd.DataFrame, *, is_soft: bool, cluster: str = "cluster") -> None:
    """Check the columns of clusters by the file of clusters."""
    clusters = pd.read_parquet(RUN / "clusters.parquet").set_index("index")
    assert len(found) > len(clusters)
    own = pd.to_numeric(found[cluster])
    assert own.iloc[clusters.index].tolist() == clusters["cluster"].tolist()
    assert own.drop(clusters.index).isna().all()
    assert ("confidence" in found) == is_soft
    if is_soft:
        confidence = pd.to_numeric(found["confidence"])
        np.testing.assert_allclose(confidence.iloc[clusters.index], clusters["confidence"], rtol=1e-6)
        assert confidence.drop(clusters.index).isna().all()


def test_soft_clusters_that_are_all_sure_have_a_confidence(tmp_path: Path) -> None:
    from datamodules import TableDataModule

    group = np.arange(60) % 3
    x = np.random.default_rng(0).normal(size=(60, 2)) + 100 * group[:, None]
    pd.DataFrame(x, columns=["a", "b"]).to_csv(tmp_path / "table.csv", index=False)
    data = TableDataModule(str(tmp_path / "table.csv"), columns=["a", "b"], batch_size=16, scaling="none")
    logger = CSVLogger(tmp_path, name="", version="run")
    trainer(tmp_path, AnnotatedCopy("out.csv"), logger=logger).fit(GaussianMixture((2,), 3, autoencoder=Identity), data)
    found = pd.read_csv(tmp_path / "run/out.csv")
    assert found.columns.tolist() == ["a", "b", "cluster", "confidence"]
    assert (found["confidence"] == 1).all()


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("is_soft", [True, False])
def test_a_csv_file_keeps_its_fields(
    lightning_dc_cli: CommandLine, tmp_path: Path, delimiter: str, is_soft: bool
) -> None:
    frame().to_csv(tmp_path / "table.csv", index=False, sep=delimiter)
    before = (tmp_path / "table.csv").read_bytes()
    data = (*TABLE, "--data.path=table.csv", "--data.val_fraction=0.2", "--annotated.file_name=table.csv")
    lightning_dc_cli(*(FIT if is_soft else HARD), *data)
    options: dict[str, Any] = {"sep": delimiter, "dtype": str, "keep_default_na": False}
    original, found = (pd.read_csv(path, **options) for path in (tmp_path / "table.csv", RUN / "table.csv"))
    pd.testing.assert_frame_equal(found[original.columns], original)
    assert found.columns[len(original.columns)] == "cluster"
    assert_clusters(found, is_soft=is_soft)
    assert (tmp_path / "table.csv").read_bytes() == before


def test_the_decimal_sign_of_the_file_stays(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    original = frame()[["gene_a", "gene_b", "age"]].astype(float) + 0.25
    original.to_csv(tmp_path / "table.csv", index=False, sep=";", decimal=",")
    data = ("--data=TableDataModule", "--data.columns=[gene_*,age]", "--data.path=table.csv", "--data.batch_size=16")
    lightning_dc_cli(*FIT, *data, "--data.val_fraction=0.2", "--annotated.file_name=out.csv")
    assert "." not in (RUN / "out.csv").read_text()
    found = pd.read_csv(RUN / "out.csv", sep=";", decimal=",")
    pd.testing.assert_frame_equal(found[original.columns], pd.read_csv(tmp_path / "table.csv", sep=";", decimal=","))
    assert_clusters(found, is_soft=True)


@pytest.mark.parametrize("path", ["table.tsv", "table.csv.gz"])
def test_the_ending_of_the_copy_says_its_delimiter(lightning_dc_cli: CommandLine, tmp_path: Path, path: str) -> None:
    frame().to_csv(tmp_path / path, index=False, sep="\t" if path == "table.tsv" else ",")
    for i, (ending, delimiter) in enumerate(((".csv", ","), (".tsv", "\t"))):
        lightning_dc_cli(*HARD, *TABLE, f"--data.path={path}", f"--annotated.file_name=out{ending}")
        found = pd.read_csv(f"runs/run/version_{i}/out{ending}", sep=delimiter, keep_default_na=False)
        assert found["note"].tolist() == frame()["note"].tolist()
        assert found["cluster"].nunique() == 3


def test_a_parquet_file_keeps_its_columns(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    original = frame().drop(columns="patient").set_index(pd.Index(frame()["patient"], name="patient"))
    original["cluster"] = "mine"  # the name is taken
    original["vector"] = [[float(i), 1.0 / (i + 1)] for i in range(len(original))]
    original["colour"] = original["colour"].astype("category")
    original.to_parquet(tmp_path / "table.parquet")
    data = (*TABLE, "--data.path=table.parquet", "--data.val_fraction=0.2", "--annotated.file_name=out.parquet")
    lightning_dc_cli(*FIT, *data)
    found = pd.read_parquet(RUN / "out.parquet")
    pd.testing.assert_frame_equal(found[original.columns], pd.read_parquet(tmp_path / "table.parquet"))
    assert_clusters(found.reset_index(), is_soft=True, cluster="cluster_1")


def test_texts_of_a_table_have_clusters(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    original = pd.DataFrame({"text": texts(), "number": range(60)})
    original.to_csv(tmp_path / "texts.csv", index=False)
    data = ("--data=TextDataModule", "--data.path=texts.csv", "--data.n_words=50", "--data.val_fraction=0.2")
    lightning_dc_cli(*FIT, *data, "--annotated.file_name=out.csv")
    found = pd.read_csv(RUN / "out.csv")
    pd.testing.assert_frame_equal(found[original.columns], original)
    assert_clusters(found, is_soft=True)


@pytest.mark.filterwarnings("ignore")  # warnings of anndata and pandas when they write files
def test_cells_keep_their_content(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    obs = pd.DataFrame(
        {"kind": pd.Categorical([f"kind{i % 3}" for i in range(60)]), "cluster": "mine", "text": list("ab") * 30},
        index=[f"cell{i}" for i in range(60)],
    )
    more = {"layers": {"counts": counts()}, "obsm": {"X_pca": np.eye(60, 2)}, "uns": {"log": {"a": np.arange(3)}}}
    write_fake_cells(tmp_path / "cells.h5ad", obs=obs, **more)
    before = (tmp_path / "cells.h5ad").read_bytes()
    data = ("--data=AnnDataModule", "--data.path=cells.h5ad", "--data.n_top_genes=12", "--data.val_fraction=0.2")
    lightning_dc_cli(*FIT, *data, "--annotated.file_name=cells.h5ad")
    assert (tmp_path / "cells.h5ad").read_bytes() == before
    original, found = (anndata.read_h5ad(path) for path in (tmp_path / "cells.h5ad", RUN / "cells.h5ad"))
    pd.testing.assert_frame_equal(found.obs[original.obs.columns], original.obs)
    pd.testing.assert_frame_equal(found.var, original.var)
    np.testing.assert_array_equal(found.X.toarray(), original.X.toarray())
    np.testing.assert_array_equal(found.layers["counts"], counts())
    np.testing.assert_array_equal(found.obsm["X_pca"], np.eye(60, 2))
    np.testing.assert_array_equal(found.uns["log"]["a"], np.arange(3))
    assert found.obs["cluster_1"].dtype.name == "category"
    columns = found.obs.rename(columns={"cluster_confidence": "confidence"}).reset_index()
    assert_clusters(columns, is_soft=True, cluster="cluster_1")
    clusters = pd.read_parquet(RUN / "clusters.parquet").set_index("index")
    np.testing.assert_array_equal(found.obsm["X_lightning_dc"][clusters.index], clusters.filter(regex="^z_"))


@pytest.mark.filterwarnings("ignore")
def test_cells_in_memory_are_copied_to_a_file(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    adata = anndata.read_h5ad(write_fake_cells(tmp_path / "cells.h5ad"))
    data, model = AnnDataModule(adata, n_top_genes=6, batch_size=16), dec(input_shape=(6,))
    options: dict[str, Any] = {"logger": CSVLogger(tmp_path), "enable_progress_bar": False, "max_epochs": -1}
    copy = AnnotatedCopy("out.h5ad")
    pl.Trainer(accelerator="cpu", callbacks=[copy], enable_model_summary=False, **options).fit(model, data)
    (path,) = tmp_path.rglob("out.h5ad")
    found = anndata.read_h5ad(path)
    assert found.obs["cluster"].astype(int).tolist() == model.final.labels.tolist()  # type: ignore[union-attr]
    np.testing.assert_array_equal(found.X.toarray(), adata.X.toarray())
    assert list(adata.obs) == ["kind"]
    assert not list(tmp_path.rglob(".out*"))


def table_file(folder: Path) -> tuple[str, ...]:
    frame().to_csv(folder / "table.csv", index=False)
    return (*TABLE, "--data.path=table.csv")


def parquet_file(folder: Path) -> tuple[str, ...]:
    frame().to_parquet(folder / "table.parquet")
    return (*TABLE, "--data.path=table.parquet")


def folder_of_texts(folder: Path) -> tuple[str, ...]:
    return ("--data=TextDataModule", f"--data.path={write_fake_texts(folder / 'notes')}", "--data.n_words=50")


def digits(folder: Path) -> tuple[str, ...]:
    return ("--data=DigitsDataModule",)


@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        (table_file, "out.h5ad", "annotated.file_name='out.h5ad' must end in .csv or .tsv, since the data are of that"),
        (table_file, "out.parquet", "must end in .csv or .tsv"),
        (parquet_file, "out.csv", "must end in .parquet"),
        (folder_of_texts, "out.csv", "needs a table or cells (.h5ad) as data, but TextDataModule has none"),
        (digits, "out.h5ad", "needs a table or cells (.h5ad) as data, but DigitsDataModule has none; leave it out"),
        (table_file, "sub/out.csv", "annotated.file_name='sub/out.csv' must be a name without folders"),
    ],
)
def test_copies_that_can_not_be_made_are_refused_before_training(
    lightning_dc_cli: CommandLine,
    tmp_path: Path,
    write: Callable[[Path], tuple[str, ...]],
    name: str,
    message: str,
) -> None:
    assert message in lightning_dc_cli.fails(*FIT, *write(tmp_path), f"--annotated.file_name={name}")
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (parquet_file, "clusters.parquet"),
        *((table_file, name) for name in ("features.csv", "terms.csv", "documents.csv", "outcomes.csv", "metrics.csv")),
        (table_file, "Features.csv"),  # the same file on some systems
    ],
)
def test_files_of_the_run_are_never_replaced(tmp_path: Path, write: Callable[[Path], Any], name: str) -> None:
    from datamodules import TableDataModule

    write(tmp_path)
    (path,) = tmp_path.glob("table.*")
    data = TableDataModule(str(path), columns=["gene_*", "age"], batch_size=16)
    reports = [AnnotatedCopy(name), RunSummary(), FeatureTable(), DocumentTable(), OutcomeTables()]
    with pytest.raises(InputError, match=rf"annotated\.file_name='{name}' would replace a file that the run writes"):
        trainer(tmp_path, *reports).fit(dec(input_shape=(3,)), data)


def test_the_file_of_clusters_may_have_another_name(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    data = (*parquet_file(tmp_path), "--annotated.file_name=clusters.parquet")
    assert "would replace a file that the run writes itself" in lightning_dc_cli.fails(*HARD, *data)
    lightning_dc_cli(*HARD, *data, "--summary.file_name=own.csv")
    assert pd.read_parquet(RUN / "clusters.parquet")["cluster"].nunique() == 3


@pytest.mark.filterwarnings("ignore:Experiment logs directory")
def test_the_data_themselves_are_never_replaced(tmp_path: Path) -> None:
    from datamodules import TableDataModule

    path = tmp_path / "logs/lightning_logs/version_0/table.csv"
    path.parent.mkdir(parents=True)
    frame().to_csv(path, index=False)
    before = path.read_bytes()
    data = TableDataModule(str(path), columns=["gene_*", "age"], batch_size=16)
    logger = CSVLogger(tmp_path / "logs", version=0)
    options: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "max_epochs": -1}
    fit = pl.Trainer(accelerator="cpu", logger=logger, callbacks=[AnnotatedCopy("table.csv")], **options).fit
    with pytest.raises(InputError, match=r"annotated\.file_name='table\.csv' would replace the data themselves"):
        fit(dec(input_shape=(3,)), data)
    assert path.read_bytes() == before


def test_rows_that_have_gone_are_told(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = table_file(tmp_path)
    start = AnnotatedCopy.on_train_start

    def shorten(*args: Any) -> None:
        frame().head(50).to_csv(tmp_path / "table.csv", index=False)
        start(*args)

    monkeypatch.setattr(AnnotatedCopy, "on_train_start", shorten)
    message = lightning_dc_cli.fails(*HARD, *data, "--annotated.file_name=out.csv")
    assert "table.csv: has 50 rows, but there were 60 when it was read" in message
    assert not list(tmp_path.rglob("*out.csv*"))
