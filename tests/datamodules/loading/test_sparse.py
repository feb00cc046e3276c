"""Tests of sparse samples against the same samples in a dense array."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import datamodules.loading.learn_scaling
import datamodules.loading.sparse
from datamodules import ClusteringDataModule, Samples
from datamodules.loading.learn_scaling import learn_scaling
from datamodules.loading.sparse import SparseRows
from datamodules.loading.tensor_rows import TensorRows
from lightning_dc.errors import InputError
from tests.helpers.samples import Given, everything, given

N_SAMPLES, N_FEATURES = 40, 6


def dense(seed: int = 0, n_samples: int = N_SAMPLES) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(n_samples, N_FEATURES)) * (random.random((n_samples, N_FEATURES)) < 0.3)


def csr(x: np.ndarray | None = None) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(dense() if x is None else x)


def batches(data: ClusteringDataModule) -> list[tuple[torch.Tensor, ...]]:
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader(), data.predict_dataloader())
    return [(batch.x, batch.index) for loader in loaders for batch in loader]


@pytest.mark.parametrize("val_fraction", [0.0, 0.3])
@pytest.mark.parametrize("scaling", ["rms", "none"])
def test_batches_are_those_of_the_dense_array(scaling: str, val_fraction: float) -> None:
    arguments = {"scaling": scaling, "val_fraction": val_fraction, "batch_size": 7}
    torch.manual_seed(0)
    sparse = given(csr(), test=Samples(csr(dense(1))), **arguments)
    torch.manual_seed(0)
    reference = given(dense(), test=Samples(dense(1)), **arguments)
    assert sparse.input_shape == (N_FEATURES,)
    for (x, index), (expected, expected_index) in zip(batches(sparse), batches(reference), strict=True):
        torch.testing.assert_close(x, expected)
        assert x.dtype == torch.float32
        assert torch.equal(index, expected_index)


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_share_a_batch(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.loading.loader.world", lambda: (rank, 2))
    data = given(csr(), batch_size=8, scaling="none")
    for batch in data.train_dataloader():
        assert batch.n_global == 8
        np.testing.assert_array_equal(batch.x, dense()[batch.index].astype("f4"))


def test_an_epoch_resumes_in_its_middle() -> None:
    data = given(csr(), batch_size=8)
    first, second = data.train_dataloader(), data.train_dataloader()
    batches = iter(first)
    next(batches)
    second.load_state_dict(first.state_dict())
    for ours, expected in zip(second, batches, strict=True):
        assert torch.equal(ours.x, expected.x)


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "u2", "u4", "i4", "i8", "?"])
def test_numbers_of_any_kind_are_taken(dtype: str) -> None:
    x = (np.abs(dense()) * 5).astype(dtype)
    matrix = csr(x)
    np.testing.assert_array_equal(everything(given(matrix, scaling="none").train_dataloader()), x.astype("f4"))


@pytest.mark.parametrize("form", ["csc", "coo", "bsr", "lil", "dok", "dia"])
def test_sparse_matrices_of_any_format_are_taken(form: str) -> None:
    for x in (csr().asformat(form), scipy.sparse.coo_array(dense()).asformat(form)):
        np.testing.assert_array_equal(everything(given(x, scaling="none").train_dataloader()), dense().astype("f4"))


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_the_index_may_have_any_type(index_dtype: Any) -> None:
    matrix = csr()
    matrix.indices, matrix.indptr = matrix.indices.astype(index_dtype), matrix.indptr.astype(index_dtype)
    np.testing.assert_array_equal(everything(given(matrix, scaling="none").train_dataloader()), dense().astype("f4"))


@pytest.mark.parametrize("scaling", ["rms", "none"])
def test_duplicates_are_summed_and_the_source_is_left_alone(scaling: str) -> None:
    values, columns, starts = np.array([1.0, 2.0, 4.0, 0.5]), np.array([2, 0, 2, 1]), np.array([0, 3, 4])
    matrix = scipy.sparse.csr_matrix((values, columns, starts), shape=(2, 3))
    expected = everything(given(np.array([[2.0, 0.0, 5.0], [0.0, 0.5, 0.0]]), scaling=scaling).train_dataloader())
    np.testing.assert_allclose(everything(given(matrix, scaling=scaling).train_dataloader()), expected, rtol=1e-6)
    assert matrix.data.tolist() == [1.0, 2.0, 4.0, 0.5]
    assert matrix.indices.tolist() == [2, 0, 2, 1]


def test_numbers_in_order_are_not_copied() -> None:
    matrix = csr()
    assert np.shares_memory(SparseRows.of(matrix, "x").matrix.data, matrix.data)


def test_read_only_numbers_are_taken() -> None:
    matrix = csr()
    matrix.data.flags.writeable = False
    given(matrix).train_dataloader()


@hypothesis_given(
    arrays(
        np.float64, st.tuples(st.integers(2, 12), st.integers(1, 5)), elements=st.sampled_from([0.0, 0.0, 1.0, -3.5])
    )
)
@settings(max_examples=60, deadline=None)
def test_the_scaling_is_that_of_the_dense_array(x: np.ndarray) -> None:
    sparse = SparseRows.of(csr(x), "x")
    if (x == x[0]).all():
        for name in ("rms", "none"):
            with pytest.raises(InputError, match="every feature of x is constant"):
                learn_scaling(name, sparse)
        return
    factor = learn_scaling("rms", sparse).factor
    assert float(factor) == pytest.approx(
        float(learn_scaling("rms", TensorRows(torch.from_numpy(x))).factor), rel=1e-12
    )


def test_scaling_is_learned_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learn_scaling("rms", SparseRows.of(csr(), "x")).factor
    monkeypatch.setattr(datamodules.loading.sparse, "_CHUNK_VALUES", 3)
    monkeypatch.setattr(datamodules.loading.learn_scaling, "_CHUNK_SPARSE_ROWS", 4)
    torch.testing.assert_close(learn_scaling("rms", SparseRows.of(csr(), "x")).factor, whole)
    late = np.zeros((30, 2))
    late[29] = 1.0
    learn_scaling("none", SparseRows.of(csr(late), "x"))


def test_standard_scaling_is_refused() -> None:
    with pytest.raises(InputError, match=r"scaling='standard' .* use scaling='rms' or 'none', or give a dense array"):
        given(csr(), scaling="standard").train_dataloader()


def test_the_scaling_of_a_checkpoint_is_applied() -> None:
    trained = given(dense(), scaling="standard")
    trained.train_dataloader()
    new, reference = given(csr(dense(1))), given(dense(1))
    for data in (new, reference):
        data.load_preprocessing_state(trained.preprocessing_state())
    np.testing.assert_allclose(
        everything(new.predict_dataloader()), everything(reference.predict_dataloader()), rtol=1e-6
    )


def test_sparse_samples_stay_in_main_memory() -> None:
    with pytest.raises(InputError, match="keep_on_device=True needs dense samples"):
        given(csr(), keep_on_device=True).train_dataloader()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 13, N_SAMPLES - 1])
def test_samples_that_are_not_finite_are_refused_with_their_row(
    row: int, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datamodules.loading.sparse, "_CHUNK_VALUES", 5)
    x = dense()
    x[10] = 0.0
    x[row, 2] = value
    x[N_SAMPLES - 1, 3] = value
    with pytest.raises(InputError, match=f"NaN or infinite values, first in row {row};"):
        given(csr(x))


def index_beyond(form: str) -> Any:
    matrix = csr().asformat(form)
    matrix.indices[3] = 1_000_000
    return matrix


def column_beyond_of_lists() -> Any:
    matrix = csr().tolil()
    matrix.rows[7] = [1_000_000]
    matrix.data[7] = [1.0]
    return matrix


def pointer_ends_in(end: int) -> Any:
    matrix = csr()
    matrix.indptr[-1] = end
    return matrix


@pytest.mark.parametrize(
    "broken",
    [*(partial(index_beyond, form) for form in ("csr", "csc", "bsr")), column_beyond_of_lists]
    + [partial(pointer_ends_in, end) for end in (-1, 0, 3, 1_000_000)],
)
def test_a_broken_index_is_refused(broken: Callable[[], Any]) -> None:
    matrix = broken()
    with pytest.raises(InputError, match=r"x of Given\.load\(\) is no valid sparse matrix"):
        given(matrix)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (scipy.sparse.csr_matrix((0, 3)), r"has shape \(0, 3\); give \(samples, features\)"),
        (scipy.sparse.coo_array(np.array([1.0, 2.0])), r"has shape \(2,\); sparse samples are"),
        (scipy.sparse.csr_matrix(np.eye(3, dtype=complex)), "has dtype complex128; give numbers"),
        (torch.eye(3).to_sparse(), r"is a sparse tensor .*; give a scipy CSR matrix"),
    ],
)
def test_bad_samples_are_refused(x: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(x)


def test_labels_are_checked_against_sparse_samples() -> None:
    with pytest.raises(InputError, match="but x has 40 samples"):
        given(csr(), y=np.zeros(39, int))


def test_sparse_and_dense_samples_do_not_mix() -> None:
    data = Given(Samples(csr()), Samples(dense(1)))
    data.setup("predict")
    with pytest.raises(InputError, match="give one kind"):
        data.predict_dataloader()
