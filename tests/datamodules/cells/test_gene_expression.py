"""Tests of the choice of genes that vary most against pandas and scanpy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix

from datamodules.cells.gene_expression import GeneSelection, normalised_dispersion
from lightning_dc.errors import InputError
from tests.helpers.fake_files import counts


def single_cell_counts(n_cells: int, n_genes: int, seed: int = 0) -> np.ndarray:
    """Draw counts over several orders of magnitude, with overdispersion and genes that no cell has."""
    random = np.random.default_rng(seed)
    mean = random.lognormal(-1.0, 1.8, n_genes)
    shape = random.uniform(0.2, 5.0, n_genes)
    x = random.poisson(mean * random.gamma(shape, 1 / shape, (n_cells, n_genes)))
    x[:, : n_genes // 50] = 0
    return x.astype(np.float32)


def normalised(x: np.ndarray) -> np.ndarray:
    x = x.astype(float)
    return x / x.sum(axis=1, keepdims=True) * 1e4


@pytest.mark.parametrize("shape", [(200, 500), (50, 2000), (400, 30)])
def test_dispersion_is_that_of_a_data_frame(shape: tuple[int, int]) -> None:
    """Follow the published steps with pandas: https://doi.org/10.1038/nbt.3192 and scanpy's documentation."""
    pd = pytest.importorskip("pandas")
    x = normalised(single_cell_counts(*shape))
    frame = pd.DataFrame({"mean": x.mean(0), "variance": x.var(0, ddof=1)})
    frame.loc[frame["mean"] == 0, "mean"] = 1e-12
    frame["dispersion"] = np.log((frame["variance"] / frame["mean"]).replace(0, np.nan))
    frame["bin"] = pd.cut(np.log1p(frame["mean"]), bins=20)
    groups = frame.groupby("bin", observed=True)["dispersion"]
    centre, spread = groups.transform("mean"), groups.transform("std")
    expected = (frame["dispersion"] - centre) / spread
    expected[spread.isna() & frame["dispersion"].notna()] = 1.0
    np.testing.assert_allclose(normalised_dispersion(csr_array(x)), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("n_cells", "n_genes", "n_top"), [(300, 2000, 500), (60, 400, 37)])
def test_genes_are_those_of_scanpy(n_cells: int, n_genes: int, n_top: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anndata, scanpy = pytest.importorskip("anndata"), pytest.importorskip("scanpy")
        x = single_cell_counts(n_cells, n_genes)
        reference = anndata.AnnData(csr_matrix(x))
        scanpy.pp.normalize_total(reference, target_sum=1e4)
        scanpy.pp.log1p(reference)
        scanpy.pp.highly_variable_genes(reference, n_top_genes=n_top)
    genes = [f"gene{j}" for j in range(n_genes)]
    ours = GeneSelection.learn(csr_array(x), genes, n_top, 1e4, True)
    kept = reference.var["highly_variable"].to_numpy()
    assert ours.kept == np.flatnonzero(kept).tolist()
    np.testing.assert_allclose(ours(csr_array(x)).toarray(), reference.X[:, kept].toarray(), rtol=1e-5)


def test_normalisation_is_by_library_size_and_logarithm() -> None:
    x = counts(6, 9)
    x[2] = 0  # a cell without counts stays so
    selection = GeneSelection([f"gene{j}" for j in range(9)], [1, 4], 50.0, True)
    size = x.sum(axis=1, keepdims=True)
    expected = np.log1p(50.0 * x / np.where(size > 0, size, 1))[:, [1, 4]]
    np.testing.assert_allclose(selection(csr_array(x)).toarray(), expected, rtol=1e-6)
    raw = GeneSelection(selection.genes, range(9), None, False)
    np.testing.assert_array_equal(raw(csr_array(x)).toarray(), x)
    assert selection.kept_genes == ["gene1", "gene4"]


def test_a_gene_alone_in_its_bin_comes_before_the_average() -> None:
    x = np.ones((4, 3)) * [1.0, 2.0, 400.0] + np.array([[0.1], [0], [0.2], [0]]) * [1, 1, 50]
    result = normalised_dispersion(csr_array(x))
    assert result[2] == 1.0
    assert np.isnan(normalised_dispersion(csr_array(np.ones((4, 3))))).all()


def test_more_genes_than_there_are_are_refused() -> None:
    with pytest.raises(InputError, match="n_top_genes=10 is more than the 9 genes; lower it, or give null"):
        GeneSelection.learn(csr_array(counts(6, 9)), [str(j) for j in range(9)], 10, 1e4, True)
