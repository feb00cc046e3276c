"""Tests of AnnData files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_array, csr_matrix, issparse

from datamodules import AnnDataModule
from datamodules.cells.gene_expression import GeneSelection
from lightning_dc.errors import InputError
from tests.helpers.damage import read_or_refuse
from tests.helpers.fake_files import counts, write_fake_cells

pytest.importorskip("anndata")
pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of anndata and pandas when they write files

ALL = 1 << 30
GENES = [f"gene{j}" for j in range(40)]


def module(path: Path, **arguments: Any) -> AnnDataModule:
    data = AnnDataModule(str(path), **{"n_top_genes": 12, "scaling": "none", **arguments})
    data.setup("fit")
    return data


def inputs(data: AnnDataModule) -> np.ndarray:
    return data.predict_dataloader().read(0, ALL).x.numpy()


def expected(x: np.ndarray, training: Any = slice(None), n_top: int | None = 12) -> np.ndarray:
    return GeneSelection.learn(csr_array(x[training]), GENES, n_top, 1e4, True)(csr_array(x)).toarray()


@pytest.mark.parametrize("kind", [csr_matrix, csc_matrix, np.asarray])
def test_counts_are_normalised_and_stay_sparse(tmp_path: Path, kind: Any) -> None:
    data = module(write_fake_cells(tmp_path / "cells.h5ad", X=kind(counts())), label="kind")
    batch = data.predict_dataloader().read(0, ALL)
    np.testing.assert_allclose(batch.x, expected(counts()), rtol=1e-6)
    np.testing.assert_array_equal(batch.y, np.arange(60) % 3)
    assert issparse(data.load().x)
    assert data.input_shape == (12,)
    assert data.feature_names == [GENES[j] for j in data.ensure_learned().kept]
    ids = data.predict_dataloader().ids
    assert ids is not None
    assert ids[7] == "cell7"


def test_genes_that_differ_between_kinds_are_kept(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rates = np.tile(random.uniform(1, 8, 400), (300, 1))
    rates[:, :9] = random.uniform(0.5, 2.5, 9)  # their means are among those of the others
    for i in range(300):
        rates[i, i % 3 : 9 : 3] *= 6  # the first nine genes
    matrix = csr_matrix(random.poisson(rates).astype("f4"))
    data = module(write_fake_cells(tmp_path / "cells.h5ad", 300, 400, X=matrix), n_top_genes=20)
    assert len(set(data.ensure_learned().kept) & set(range(9))) >= 8


def test_a_layer_and_what_is_done_to_it_can_be_chosen(tmp_path: Path) -> None:
    path = write_fake_cells(tmp_path / "cells.h5ad", X=np.log1p(counts()), layers={"counts": csr_matrix(counts())})
    np.testing.assert_allclose(inputs(module(path, layer="counts")), expected(counts()), rtol=1e-6)
    raw = module(path, target_sum=None, log1p=False, n_top_genes=None)
    np.testing.assert_allclose(inputs(raw), np.log1p(counts()), rtol=1e-6)


def test_genes_are_chosen_on_training_cells_and_travel(tmp_path: Path) -> None:
    trained = module(write_fake_cells(tmp_path / "cells.h5ad"), val_fraction=0.5)
    rows = trained.train_dataloader().source_rows.numpy()
    np.testing.assert_allclose(inputs(trained), expected(counts(), rows), rtol=1e-6)
    torch.save(trained.preprocessing_state(), tmp_path / "state.pt")
    # other cells, with the genes in another order and one gene more
    import pandas as pd

    x, order = counts(20, seed=1), np.random.default_rng(0).permutation(40)
    names = pd.DataFrame(index=[*(GENES[j] for j in order), "new"])
    shuffled = csr_matrix(np.column_stack([x[:, order], np.full(20, 1000.0)]))
    path = write_fake_cells(
        tmp_path / "new.h5ad", 20, X=shuffled, var=names, obs=pd.DataFrame(index=map(str, range(20)))
    )
    new = AnnDataModule(str(path), label="kind")
    new.load_preprocessing_state(torch.load(tmp_path / "state.pt", weights_only=True))
    selection = GeneSelection.learn(csr_array(counts()[rows]), GENES, 12, 1e4, True)
    np.testing.assert_allclose(inputs(new), selection(csr_array(x)).toarray(), rtol=1e-6)
    assert new.predict_dataloader().read(0, ALL).y is None
    path = write_fake_cells(tmp_path / "few.h5ad", 20, 39)
    few = AnnDataModule(str(path))
    few.load_preprocessing_state(trained.preprocessing_state())
    with pytest.raises(InputError, match=r"few\.h5ad: lacks the genes 'gene39', which the training data had"):
        few.predict_dataloader()


def test_missing_labels_are_unknown(tmp_path: Path) -> None:
    import pandas as pd

    kinds = pd.DataFrame({"kind": [None, *["b", "a"] * 29, "b"]}, index=[f"cell{i}" for i in range(60)])
    data = module(write_fake_cells(tmp_path / "cells.h5ad", obs=kinds), label="kind")
    np.testing.assert_array_equal(data.predict_dataloader().read(0, 4).y, [-1, 1, 0, 1])


def bad_counts(value: float) -> dict[str, Any]:
    x = counts()
    x[3, 5] = value
    return {"X": csr_matrix(x)}


def names(**changed: list[str]) -> dict[str, Any]:
    import pandas as pd

    return {name: pd.DataFrame(index=index) for name, index in changed.items()}


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (lambda: bad_counts(0.5), {}, r"cells\.h5ad: holds 0\.5 for cell 3 and gene 5, which is no count; name the la"),
        (lambda: bad_counts(-1), {}, r"holds -1 for cell 3 and gene 5"),
        (lambda: bad_counts(np.nan), {"target_sum": None, "log1p": False}, r"holds nan for cell 3 .*; remove the cell"),
        (lambda: names(var=["a"] * 2 + GENES[2:]), {}, r"more than one gene named 'a'; make the names unique, as var_"),
        (lambda: names(obs=["c"] * 60), {}, r"more than one cell named 'c'; .* obs_names_make_unique"),
        (dict, {"label": "type"}, r"label='type' is no column of obs in .*cells\.h5ad, which has 'kind'"),
        (dict, {"layer": "raw"}, r"layer='raw' is no layer of .*cells\.h5ad"),
        (dict, {"n_top_genes": 41}, r"cells\.h5ad: n_top_genes=41 is more than the 40 genes"),
        (dict, {"scaling": "standard"}, "scaling='standard' would make numbers of all zeros of sparse samples"),
    ],
)
def test_bad_content_is_refused(tmp_path: Path, content: Any, arguments: dict[str, Any], message: str) -> None:
    path = write_fake_cells(tmp_path / "cells.h5ad", **content())
    with pytest.raises(InputError, match=message):
        module(path, **arguments).train_dataloader()


@pytest.mark.parametrize(("n_genes", "n_kept"), [(40, 40), (2000, 2000), (2100, 2000)])
def test_without_a_number_of_genes_2000_are_kept_or_all_if_there_are_fewer(
    tmp_path: Path, n_genes: int, n_kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    x = np.random.default_rng(0).poisson(2.0, (60, n_genes)).astype(np.float32)
    path = write_fake_cells(tmp_path / "cells.h5ad", 60, n_genes, X=csr_matrix(x))
    with caplog.at_level(logging.INFO):
        data = AnnDataModule(str(path))
        data.setup("fit")
        assert data.input_shape == (n_kept,)
    told = [line for line in caplog.messages if "all are kept" in line]
    expected_line = f"{path}: has 40 genes, fewer than the 2000 that are kept of more; all are kept"
    assert told == ([expected_line] if n_genes == 40 else [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_sum": 0}, "target_sum=0 must be positive, or null"),
        ({"n_top_genes": "all"}, "n_top_genes='all' must be a number, auto, or null for all"),
        ({"n_top_genes": 0}, "n_top_genes=0 must be at least 1, or null for all"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AnnDataModule("cells.h5ad", **arguments)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.h5ad: is no \.h5ad file"):
        module(tmp_path / "nowhere.h5ad")
    path = write_fake_cells(tmp_path / "cells.h5ad")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cells\.h5ad: can't be read \("):
        module(path)


def varied_counts() -> np.ndarray:
    random = np.random.default_rng(0)
    rates = np.tile(random.lognormal(0, 1.5, 300), (200, 1)) * random.uniform(0.3, 3, (200, 1))
    for i in range(200):
        rates[i, i % 3 : 30 : 3] *= 5
    return random.poisson(rates).astype("f4")


PREPARED = {"target_sum": None, "log1p": False, "n_top_genes": 40}


@pytest.mark.parametrize("base", [np.e, 2.0, 10.0])
@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("target", [1e4, 1e6, "median"])
def test_genes_of_logarithms_are_those_of_the_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, base: float, is_told: bool, target: Any
) -> None:
    """The genes that are chosen when this module normalises the counts itself, whatever the base and the layer."""
    x = varied_counts()
    total = float(np.median(x.sum(1))) if target == "median" else target
    logs = (np.log1p(x / x.sum(1, keepdims=True) * total) / np.log(base)).astype("f4")
    path = tmp_path / "counts.h5ad"
    counted = module(write_fake_cells(path, 200, 300, X=csr_matrix(x)), target_sum=total, n_top_genes=40)
    told = {"log1p": {} if base == np.e else {"base": base}} if is_told else {}
    for kind in (csr_matrix, np.asarray):
        path = write_fake_cells(tmp_path / "logs.h5ad", 200, 300, X=kind(logs), uns=told)
        with caplog.at_level(logging.INFO):
            data = module(path, **PREPARED)
        assert data.feature_names == counted.feature_names
        np.testing.assert_allclose(inputs(data), logs[:, data.ensure_learned().kept], rtol=1e-6)
        assert f"the values are logarithms (base {base:.4g}), which are undone to choose genes" in caplog.text
    path = write_fake_cells(tmp_path / "layer.h5ad", 200, 300, X=csr_matrix(x), layers={"logs": csr_matrix(logs)})
    assert module(path, layer="logs", **PREPARED).feature_names == counted.feature_names


@pytest.mark.parametrize("total", [5.0, 1e4])
def test_genes_of_normalised_counts_are_those_of_the_counts(tmp_path: Path, total: float) -> None:
    x = varied_counts()
    counted = module(
        write_fake_cells(tmp_path / "counts.h5ad", 200, 300, X=csr_matrix(x)), target_sum=total, n_top_genes=40
    )
    sums = csr_matrix(x / x.sum(1, keepdims=True) * total)
    path = write_fake_cells(tmp_path / "sums.h5ad", 200, 300, X=sums)
    assert module(path, **PREPARED).feature_names == counted.feature_names


@pytest.mark.parametrize("centre", [True, False])
def test_genes_of_scaled_data_are_not_chosen(tmp_path: Path, centre: bool) -> None:
    x = np.log1p(varied_counts())
    scaled = x / x.std(0, ddof=1).clip(1e-9) - (x.mean(0) if centre else 0)
    path = write_fake_cells(tmp_path / "scaled.h5ad", 200, 300, X=scaled.astype("f4"))
    with pytest.raises(
        InputError, match=r"scaled\.h5ad: .*scaled data.*; name the layer of the counts or of their log"
    ):
        module(path, **PREPARED)
    assert module(path, **{**PREPARED, "n_top_genes": None}).input_shape == (300,)


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=50, deadline=None)
def test_a_file_cut_short_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = write_fake_cells(tmp_path_factory.mktemp("cells") / "cells.h5ad", 5, 4)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cells\.h5ad: can't be read \("):
        module(path, n_top_genes=3)


@pytest.mark.parametrize(("part", "number"), [("indptr", -1), ("indptr", 0), ("indices", 100)])
def test_a_broken_index_is_refused(tmp_path: Path, part: str, number: int) -> None:
    import h5py

    path = write_fake_cells(tmp_path / "cells.h5ad")
    with h5py.File(path, "r+") as file:
        file[f"X/{part}"][-1] = number
    with pytest.raises(InputError, match=r"cells\.h5ad: can't be read \(ind"):
        module(path)


def damage_content(data: st.DataObject, path: Path) -> None:
    """Remove, replace or change a part of a file that HDF5 can still read.

    HDF5 itself may loop forever over a file in which single bytes were changed.
    """
    import h5py

    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        part = data.draw(st.sampled_from(sorted(names)))
        number = data.draw(st.sampled_from([-1, 0, 3, 4, 5, 100, 2**31 - 1]))
        values = data.draw(st.sampled_from([number, np.nan, "text", [], [number, 0], [[1.0, 2.0], [3.0, 4.0]]]))
        entry, attributes = file[part], dict(file[part].attrs)
        kind = data.draw(st.sampled_from(["remove", "replace", "attribute", "value"]))
        if kind == "value" and isinstance(entry, h5py.Dataset) and entry.shape and entry.dtype.kind in "iuf":
            limits = np.iinfo(entry.dtype) if entry.dtype.kind in "iu" else np.finfo(entry.dtype)
            entry[data.draw(st.integers(0, len(entry) - 1))] = np.clip(number, limits.min, limits.max)
        elif kind == "attribute" and attributes:
            entry.attrs[data.draw(st.sampled_from(sorted(attributes)))] = values
        elif kind in ("remove", "replace"):
            del file[part]
            if kind == "replace":
                file[part] = values
                file[part].attrs.update(attributes)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_content_ends_in_samples_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write_fake_cells(tmp_path_factory.mktemp("cells") / "cells.h5ad", 5, 4)
    damage_content(data, path)
    read_or_refuse(AnnDataModule(str(path), n_top_genes=3), path)
