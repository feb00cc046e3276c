"""Tests of AnnData in memory, of its matrices and masks, and of the clusters that are put into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from datamodules import AnnDataModule
from lightning_dc.errors import InputError
from tests.helpers.fake_files import counts, write_fake_cells
from tests.helpers.methods import dec

anndata = pytest.importorskip("anndata")
pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of anndata and pandas when they write files

ALL = 1 << 30
PCA = np.random.default_rng(0).normal(size=(60, 6)) + 5 * (np.arange(60) % 3)[:, None]


def cells(folder: Path, **arguments: Any) -> Any:
    """Return AnnData in memory."""
    return anndata.read_h5ad(write_fake_cells(folder / "cells.h5ad", **{"obsm": {"X_pca": PCA}, **arguments}))


def inputs(data: AnnDataModule) -> np.ndarray:
    data.setup("fit")
    return data.predict_dataloader().read(0, ALL).x.numpy()


def test_cells_in_memory_are_those_of_the_file(tmp_path: Path) -> None:
    adata = cells(tmp_path)
    options: dict[str, Any] = {"n_top_genes": 12, "label": "kind"}
    read, given = AnnDataModule(str(tmp_path / "cells.h5ad"), **options), AnnDataModule(adata, **options)
    np.testing.assert_array_equal(inputs(given), inputs(read))
    assert given.feature_names == read.feature_names
    assert given.predict_dataloader().ids.tolist() == adata.obs_names.tolist()  # type: ignore[union-attr]
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(inputs(AnnDataModule(backed, **options)), inputs(read))
    np.testing.assert_array_equal(inputs(AnnDataModule(adata[10:40], n_top_genes=None)).shape, (30, 40))


def test_what_is_no_anndata_is_refused() -> None:
    with pytest.raises(InputError, match=r"path is a ndarray; give the path of an \.h5ad file, or an AnnData"):
        AnnDataModule(np.eye(3)).setup("fit")


def test_messages_name_the_anndata(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label='type' is no column of obs in the AnnData, which has 'kind'"):
        AnnDataModule(cells(tmp_path), label="type").setup("fit")


@pytest.mark.parametrize("kind", ["array", "frame", "sparse"])
def test_a_matrix_of_obsm_is_taken_as_it_is(tmp_path: Path, kind: str) -> None:
    adata = cells(tmp_path)
    if kind == "frame":
        adata.obsm["X_pca"] = pd.DataFrame(PCA, index=adata.obs_names)
    if kind == "sparse":
        adata.obsm["X_pca"] = csr_matrix(PCA)
    adata.X[0, 0] = 0.5  # not looked at
    data = AnnDataModule(adata, obsm="X_pca", scaling="none")
    np.testing.assert_array_equal(inputs(data), PCA.astype("f4"))
    assert data.input_shape == (6,)
    assert data.feature_names == [f"X_pca[{j}]" for j in range(6)]


def test_the_matrix_travels_by_its_name(tmp_path: Path) -> None:
    trained = AnnDataModule(cells(tmp_path), obsm="X_pca")
    expected = inputs(trained)
    torch.save(trained.preprocessing_state(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    new = AnnDataModule(str(tmp_path / "cells.h5ad"))  # a path alone
    new.load_preprocessing_state(state)
    np.testing.assert_array_equal(inputs(new), expected)
    other = AnnDataModule(cells(tmp_path, obsm={"X_pca": PCA[:, :4]}))
    other.load_preprocessing_state(state)
    with pytest.raises(InputError, match=r"obsm\['X_pca'\] has 4 columns, but that of the training data had 6"):
        other.predict_dataloader()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"obsm": "X_umap"}, "obsm='X_umap' is no matrix in obsm of the AnnData, which has 'X_pca'"),
        ({"obsm": "X_pca", "layer": "counts"}, "obsm='X_pca' is the input, so layer and mask_var"),
        ({"mask_var": "highly_variable"}, "mask_var='highly_variable' is no column of var in the AnnData, which has n"),
        ({"batch_key": "batch"}, "batch_key='batch' is no column of obs in the AnnData, which has 'kind'"),
    ],
)
def test_names_that_are_not_there_are_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AnnDataModule(cells(tmp_path), **arguments).setup("fit")


def test_a_mask_says_which_genes_are_kept(tmp_path: Path) -> None:
    adata = cells(tmp_path)
    adata.var["highly_variable"] = np.arange(40) % 5 == 1
    data = AnnDataModule(adata, mask_var="highly_variable", scaling="none")
    x = counts()
    expected = np.log1p(x / x.sum(1, keepdims=True) * 1e4)[:, 1::5]
    np.testing.assert_allclose(inputs(data), expected, rtol=1e-5)
    assert data.feature_names == [f"gene{j}" for j in range(1, 40, 5)]
    adata.var["highly_variable"] = np.zeros(40)
    with pytest.raises(InputError, match="mask_var='highly_variable' of the AnnData must hold truth values"):
        AnnDataModule(adata, mask_var="highly_variable").setup("fit")


def test_a_mask_of_scanpy_is_taken(tmp_path: Path) -> None:
    scanpy = pytest.importorskip("scanpy")
    adata = cells(tmp_path)
    scanpy.pp.normalize_total(adata, target_sum=1e4)
    scanpy.pp.log1p(adata)
    scanpy.pp.highly_variable_genes(adata, n_top_genes=12)
    data = AnnDataModule(adata, mask_var="highly_variable", target_sum=None, log1p=False, scaling="none")
    np.testing.assert_array_equal(inputs(data), adata[:, adata.var["highly_variable"]].X.toarray())


def fitted(data: AnnDataModule) -> Any:
    model = dec(input_shape=(6,))
    options: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    pl.Trainer(accelerator="cpu", enable_checkpointing=False, max_epochs=-1, **options).fit(model, data)
    return model


def test_clusters_are_put_into_the_anndata(tmp_path: Path) -> None:
    adata = cells(tmp_path)
    data = AnnDataModule(adata, obsm="X_pca", val_fraction=0.25, batch_size=16)
    model = fitted(data)
    for _ in range(2):  # a second call replaces what the first one has set
        data.annotate(model.final)
    assert list(adata.obs) == ["kind", "cluster", "cluster_confidence"]
    rows = data.train_dataloader().source_rows.numpy()
    held_out = np.setdiff1d(np.arange(60), rows)
    assert len(held_out) == 15
    assert adata.obs["cluster"].iloc[rows].astype(int).tolist() == model.final.labels.tolist()
    assert adata.obs["cluster"].dtype.name == "category"
    assert adata.obs["cluster"].iloc[held_out].isna().all()
    np.testing.assert_array_equal(adata.obs["cluster_confidence"].iloc[rows], model.final.q.max(1).values)
    np.testing.assert_array_equal(adata.obsm["X_lightning_dc"][rows], model.final.z)
    assert np.isnan(adata.obsm["X_lightning_dc"][held_out]).all()
    adata.write_h5ad(tmp_path / "after.h5ad")
    assert anndata.read_h5ad(tmp_path / "after.h5ad").obs["cluster"].equals(adata.obs["cluster"])


def test_a_file_stays_as_it_is(tmp_path: Path) -> None:
    cells(tmp_path)
    data = AnnDataModule(str(tmp_path / "cells.h5ad"), obsm="X_pca", batch_size=16)
    with pytest.raises(InputError, match=r"cells\.h5ad: is a file, which stays as it is; set annotated\.file_name"):
        data.annotate(fitted(data).final)


def test_cells_that_have_gone_are_told(tmp_path: Path) -> None:
    adata = cells(tmp_path)
    data = AnnDataModule(adata, obsm="X_pca", batch_size=16)
    model = fitted(data)
    adata._inplace_subset_obs(np.arange(50))
    with pytest.raises(InputError, match="the AnnData: has 50 cells, but there were 60 when it was read"):
        data.annotate(model.final)


@pytest.mark.parametrize("role", ["label", "batch_key"])
@pytest.mark.parametrize("name", ["cluster", "cluster_confidence"])
def test_columns_that_are_read_are_not_replaced(tmp_path: Path, role: Literal["label", "batch_key"], name: str) -> None:
    adata = cells(tmp_path)
    adata.obs[name] = [f"mine{i % 2}" for i in range(60)]
    before = adata.obs.copy()
    data = AnnDataModule(adata, obsm="X_pca", batch_size=16, **{role: name})  # type: ignore[arg-type]
    final = fitted(data).final
    with pytest.raises(
        InputError, match=rf"obs\['{name}'\] is read as label or batch_key, .*; rename the column first"
    ):
        data.annotate(final)
    pd.testing.assert_frame_equal(adata.obs, before)


def test_taken_names_get_a_number_in_a_copy(tmp_path: Path) -> None:
    adata = cells(tmp_path, obsm={"X_pca": PCA, "X_lightning_dc": PCA[:, :1]})
    adata.obs["cluster"] = [f"mine{i % 2}" for i in range(60)]
    before = adata.obs.copy()
    data = AnnDataModule(adata, obsm="X_pca", label="cluster", batch_size=16)
    final = fitted(data).final
    data.write_annotated(tmp_path / "out.h5ad", ".h5ad", final)
    found = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert found.obs["cluster"].tolist() == before["cluster"].tolist()
    assert found.obs["cluster_1"].astype(int).tolist() == final.labels.tolist()
    np.testing.assert_array_equal(found.obsm["X_lightning_dc"], PCA[:, :1])
    np.testing.assert_array_equal(found.obsm["X_lightning_dc_1"], final.z)
    pd.testing.assert_frame_equal(adata.obs, before)
