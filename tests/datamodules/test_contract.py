"""Tests that every DataModule keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import datamodules
from datamodules import (
    AnnDataModule,
    ArrayDataModule,
    BreastCancerDataModule,
    BreastCancerSurvivalDataModule,
    ClusteringDataModule,
    DigitsDataModule,
    ImageFolderDataModule,
    MNISTDataModule,
    ParquetDataModule,
    ReutersDataModule,
    Samples,
    SyntheticDataModule,
    TableDataModule,
    TextDataModule,
)
from datamodules.learning import LearningDataModule
from datamodules.testing import DataModuleContract
from tests.helpers.fake_files import (
    texts,
    write_fake_cells,
    write_fake_images,
    write_fake_table,
    write_fake_texts,
    write_table,
)
from tests.helpers.fake_mnist import write_fake_mnist
from tests.helpers.fake_reuters import write_fake_reuters

X = np.random.default_rng(0).normal(size=(40, 5)).astype("f4")
Y = np.arange(40) % 3


class TestArrays(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return ArrayDataModule(X, Y, batch_size=16, labels=labels)


class TestEmbeddings(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        np.save(folder / "x.npy", X)
        return ArrayDataModule(str(folder / "x.npy"), Y, batch_size=16, scaling="unit", labels=labels)


class TestSparseArrays(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return ArrayDataModule(scipy.sparse.csr_matrix(X * (X > 0)), Y, batch_size=16, labels=labels)


class TestEmbeddingsOfTexts(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        (folder / "texts.txt").write_text("\n".join(texts(40)))
        return ArrayDataModule(X, Y, batch_size=16, labels=labels, texts=str(folder / "texts.txt"))


class TestDigits(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return DigitsDataModule(batch_size=500, labels=labels)


class TestMNIST(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return MNISTDataModule(str(write_fake_mnist(folder)), split=True, batch_size=50, labels=labels)


class TestReuters(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        write_fake_reuters(folder)
        return ReutersDataModule(str(folder), n_words=60, n_topics="all", split=True, batch_size=50, labels=labels)


class TestSynthetic(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return SyntheticDataModule(n_samples=70, batch_size=32, target="survival", labels=labels)


class TestTable(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return TableDataModule(
            str(write_fake_table(folder)),
            drop="relapse",
            categorical="colour",
            label="species" if labels else None,
            columns=["gene_*", "age", "colour"],
            target="survival",
            target_columns=["time", "event"],
            id_column="patient",
            unseen="zeros",
            missing="median",
            batch_size=16,
        )


class TestTableOfGuessedRoles(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return TableDataModule(
            str(write_fake_table(folder)),
            label="species" if labels else None,
            drop=[] if labels else ["species"],
            guess_roles=True,
            scaling="columns",
            batch_size=16,
        )


class TestBreastCancer(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return BreastCancerDataModule()


class TestBreastCancerSurvival(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        pytest.importorskip("sksurv")
        return BreastCancerSurvivalDataModule()


class TestParquet(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        rows = [{"a": float(row[0]), "b": float(row[1]), "kind": k} for row, k in zip(X, Y.tolist(), strict=True)]
        path = write_table(folder / "x.parquet", rows)
        return ParquetDataModule(str(path), label="kind", batch_size=16, labels=labels)


class TestTexts(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return TextDataModule(str(write_fake_texts(folder)), n_words=50, batch_size=16, labels=labels)


class TestTextsOfATable(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        rows = [{"story": text, "topic": i % 3, "number": 7 * i} for i, text in enumerate(texts())]
        path = write_table(folder / "texts.parquet", rows)
        return TextDataModule(
            str(path), "story", "topic" if labels else None, "number", n_words=50, batch_size=16, labels=labels
        )


class TestImages(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return ImageFolderDataModule(str(write_fake_images(folder)), size=(6, 5), batch_size=8, labels=labels)


class TestCells(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        pytest.importorskip("anndata")
        path = write_fake_cells(folder / "cells.h5ad")
        return AnnDataModule(str(path), label="kind" if labels else None, n_top_genes=12, batch_size=16)


class TestCellsInMemory(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        anndata = pytest.importorskip("anndata")
        cells = anndata.read_h5ad(write_fake_cells(folder / "cells.h5ad"))
        return AnnDataModule(cells, label="kind" if labels else None, n_top_genes=12, batch_key="kind", batch_size=16)


class TestAMatrixOfCells(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        pytest.importorskip("anndata")
        path = write_fake_cells(folder / "cells.h5ad", obsm={"X_pca": np.random.default_rng(0).normal(size=(60, 5))})
        return AnnDataModule(str(path), label="kind" if labels else None, obsm="X_pca", batch_size=16)


class Own(ClusteringDataModule):
    """DataModule of a user that has only ``load``."""

    def load(self) -> Samples:
        return Samples(X)


class Kept(DataModuleContract):
    """Contract that pytest does not collect."""

    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return Own(batch_size=16)


class TestAUsersOwn(DataModuleContract):
    def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
        return Own(batch_size=16)


class Unsteady(Own):
    """DataModule that returns other samples at each call."""

    def load(self) -> Samples:
        return Samples(np.random.default_rng().normal(size=(40, 5)))


class Labelled(Own):
    """DataModule that returns labels even if it is not asked for them."""

    def load(self) -> Samples:
        return Samples(X, Y)


class Forgetful(LearningDataModule[Any]):
    """DataModule that learns a mean, and ignores the mean that another one has learned."""

    learned_name = "mean"

    def load(self) -> Samples:
        rows = self.training_rows(len(X))
        return Samples(X - (X if rows is None else X[rows]).mean(0))

    def restore(self, state: dict[str, Any]) -> Any:
        return None

    def preprocessing_state(self) -> dict[str, Any]:
        return {**super().preprocessing_state(), "mean": {}}


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Unsteady, "test_it_pickles"),
        (Unsteady, "test_the_split_is_deterministic"),
        (Labelled, "test_labels_are_optional"),
        (Forgetful, "test_preprocessing_travels"),
    ],
)
def test_the_contract_can_be_broken(tmp_path: Path, kind: type[ClusteringDataModule], test: str) -> None:
    class Contract(Kept):
        def make(self, folder: Path, labels: bool) -> ClusteringDataModule:
            return kind(batch_size=16)

    with pytest.raises(AssertionError):
        getattr(Contract(), test)(tmp_path)


def test_no_datamodule_is_left_out(tmp_path: Path) -> None:
    pytest.importorskip("anndata")
    pytest.importorskip("sksurv")
    public = {getattr(datamodules, name) for name in datamodules.__all__}
    public = {kind for kind in public if issubclass(kind, ClusteringDataModule) and kind is not ClusteringDataModule}
    tested = set()
    for i, contract in enumerate(DataModuleContract.__subclasses__()):
        (tmp_path / str(i)).mkdir()
        tested.add(type(contract().make(tmp_path / str(i), True)))
    assert public <= tested
