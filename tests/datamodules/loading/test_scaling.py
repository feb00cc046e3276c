"""Tests of the scaling of inputs against scikit-learn's scalers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

import datamodules.loading.rows
from datamodules.loading.learn_scaling import learn_scaling
from datamodules.loading.rows import Rows, check_finite
from datamodules.loading.scaling import Scaling, ScalingName
from datamodules.loading.sparse import SparseRows
from datamodules.loading.tensor_rows import TensorRows
from lightning_dc.errors import InputError


def learn(name: ScalingName, x: torch.Tensor) -> Scaling:
    return learn_scaling(name, TensorRows(x))


def samples(n: int = 50, shape: tuple[int, ...] = (4,)) -> torch.Tensor:
    x = np.random.default_rng(0).normal(3.0, 2.0, (n, *shape))
    return torch.from_numpy(x * np.linspace(1, 10, math.prod(shape)).reshape(shape))


@pytest.mark.parametrize("shape", [(4,), (1, 3, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_rms_makes_the_mean_squared_norm_equal_the_dimension(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = samples(shape=shape).abs().to(dtype)
    scaled = learn("rms", x)(x.double())
    norms = np.linalg.norm(scaled.flatten(1).numpy(), axis=1)
    assert (norms**2).mean() / math.prod(shape) == pytest.approx(1.0, rel=1e-6)
    torch.testing.assert_close(scaled / scaled[0, ...].flatten()[0], x.double() / x.double()[0, ...].flatten()[0])


@pytest.mark.parametrize("n_samples", [2, 50, 20_000])
def test_standard_equals_sklearns(n_samples: int) -> None:
    x = samples(n_samples)
    scaled = learn("standard", x)(x)
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(x.numpy()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["rms", "standard"])
@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_numbers_whose_squares_float64_cannot_hold_are_refused(name: ScalingName, size: float) -> None:
    with pytest.raises(InputError, match=r"squares of some values of x exceed float64, or are 0 in it|is constant"):
        learn(name, samples() * size)


@pytest.mark.parametrize("most_numbers", [1, 40])
def test_chunks_of_wide_samples_change_nothing(monkeypatch: pytest.MonkeyPatch, most_numbers: int) -> None:
    x = samples(shape=(1, 3, 5))
    expected = learn("standard", x)
    monkeypatch.setattr(datamodules.loading.rows, "_CHUNK_NUMBERS", most_numbers)
    scaling = learn("standard", x)
    torch.testing.assert_close((scaling.shift, scaling.factor), (expected.shift, expected.factor), rtol=1e-12, atol=0)
    x[7, 0, 1, 2] = math.nan
    with pytest.raises(InputError, match="first in row 7"):
        check_finite(TensorRows(x), "x")


@pytest.mark.parametrize("offset", [1e5, 1e9])
def test_standard_equals_sklearns_far_from_zero(offset: float) -> None:
    x = samples() + offset
    factor = learn("standard", x).factor
    np.testing.assert_allclose(factor, 1 / StandardScaler().fit(x.numpy()).scale_, rtol=1e-5)


def test_standard_scales_each_pixel_of_an_image() -> None:
    x = samples(shape=(1, 3, 5))
    scaled = learn("standard", x)(x)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.var(0, correction=0), 1, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (1, 3, 5)])
@pytest.mark.parametrize("name", ["none", "rms", "standard"])
def test_there_is_a_way_back_to_the_samples_and_their_means(name: ScalingName, shape: tuple[int, ...]) -> None:
    x = samples(shape=shape) + 1e6
    scaling = learn(name, x)
    scaled = scaling(x)
    for of_scaled, expected in ((scaled, x), (scaled.mean(0, keepdim=True), x.mean(0, keepdim=True))):
        back = scaling.unscale(of_scaled)
        assert back is not None
        torch.testing.assert_close(back, expected, rtol=1e-14, atol=0)


def test_samples_of_a_size_of_their_own_have_no_way_back() -> None:
    x = samples()
    scaling = learn("unit", x)
    assert scaling.unscale(scaling(x)) is None


def test_none_changes_nothing() -> None:
    x = samples()
    assert torch.equal(learn("none", x)(x), x)


@pytest.mark.parametrize("name", ["rms", "standard", "none"])
def test_a_batch_keeps_its_dtype_and_its_source(name: str) -> None:
    x = samples().float()
    before = x.clone()
    assert learn(name, x)(x).dtype == torch.float32
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", ["rms", "standard", "unit", "none"])
def test_state_is_all_that_a_scaling_has(name: str) -> None:
    x = samples()
    scaling = learn(name, x)
    assert torch.equal(Scaling(**scaling.state_dict())(x), scaling(x))
    assert all(isinstance(value, torch.Tensor | bool) for value in scaling.state_dict().values())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("row", [0, 7, 8191, 8192, 8999])
def test_values_that_are_not_finite_are_refused_with_their_row(row: int, value: float) -> None:
    x = torch.rand(9000, 2, generator=torch.Generator().manual_seed(0))
    x[row, 1] = value
    x[8999, 0] = value
    with pytest.raises(InputError, match=f"cells holds NaN or infinite values, first in row {row};"):
        check_finite(TensorRows(x), "cells")


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("name", ["rms", "standard", "none"])
def test_samples_that_are_all_the_same_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match="every feature of x is constant"):
        learn(name, torch.full((30, 3), value))


def test_standard_refuses_constant_features_and_names_the_first() -> None:
    x = samples()
    x[:, [1, 3]] = 0.1
    with pytest.raises(InputError, match=r"2 features of x are constant \(the first is number 1\)"):
        learn("standard", x)
    scaled = learn("rms", x)(x)
    assert float(scaled.square().sum(1).mean() / 4) == pytest.approx(1.0)


@pytest.mark.parametrize("sparse", [False, True])
def test_unit_scaling_is_that_of_cosines(sparse: bool) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 4)) * np.arange(9)[:, None]  # the first is zero
    x: Rows = SparseRows.of(csr_array(rows), "x") if sparse else TensorRows(torch.from_numpy(rows))
    scaled = learn_scaling("unit", x)(torch.from_numpy(rows), torch.float64).numpy()
    assert not scaled[0].any()
    np.testing.assert_allclose(np.square(scaled[1:]).mean(1), 1.0)
    np.testing.assert_allclose(scaled[1:] @ scaled[1:].T / 4, cosine_similarity(rows[1:]), atol=1e-12)
    images = learn("unit", torch.from_numpy(rows[1:]).view(-1, 1, 2, 2))(torch.ones(3, 1, 2, 2) * 7)
    torch.testing.assert_close(images, torch.ones(3, 1, 2, 2))


@pytest.mark.parametrize("name", ["rms", "standard", "unit", "none"])
@pytest.mark.parametrize("shape", [(4,), (1, 3, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.uint8, torch.int64])
@pytest.mark.parametrize("batch_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_rows_by_number_have_the_same_values_as_a_call(
    name: str, shape: tuple[int, ...], dtype: torch.dtype, batch_dtype: torch.dtype, is_transposed: bool
) -> None:
    x = samples(shape=shape).abs().to(dtype)
    x[0] = 0
    if dtype.is_floating_point:
        x[1, ..., 0], x[1, ..., 1] = torch.finfo(dtype).tiny / 2, -0.0
    x = x.transpose(0, -1).contiguous().transpose(0, -1) if is_transposed else x
    source, scaling = x.clone(), learn(name, x)
    for rows in (torch.tensor([0, 1, 7, 7, 49]), torch.tensor([1]), torch.tensor([], dtype=torch.int64)):
        taken = scaling.gather(x, rows, batch_dtype)
        assert taken.dtype == batch_dtype
        assert torch.equal(taken, scaling(x[rows], batch_dtype))
        taken.zero_()  # it is the caller's
    assert torch.equal(x, source)


def one_hot(n: int = 400) -> tuple[torch.Tensor, list[list[int]]]:
    """Return samples of two numbers, a category with a rare value and one with two equal ones, and their groups."""
    random = np.random.default_rng(0)
    parts = [random.normal(5, 3, (n, 1)), np.eye(4)[random.choice(4, n, p=[0.6, 0.3, 0.08, 0.02])]]
    parts += [np.eye(2)[random.integers(0, 2, n)], random.lognormal(size=(n, 1))]
    return torch.from_numpy(np.hstack(parts)), [[0], [4, 3, 2, 1], [5, 6], [7]]  # in any order


def test_columns_have_the_same_weight_whatever_their_number_of_inputs() -> None:
    x, groups = one_hot()
    scaled = learn_scaling("columns", TensorRows(x), groups)(x).numpy()
    numbers = [0, 7]
    np.testing.assert_allclose(scaled[:, numbers], StandardScaler().fit_transform(x[:, numbers].numpy()), rtol=1e-6)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-12)
    for group in groups[1:3]:
        shares = x[:, group].mean(0).numpy()
        factor = math.sqrt(0.5 / (shares * (1 - shares)).sum())
        np.testing.assert_allclose(scaled[:, group], (x[:, group].numpy() - shares) * factor, rtol=1e-6)
        assert scaled[:, group].var(0).sum() == pytest.approx(0.5)


def test_columns_are_unscaled() -> None:
    x, groups = one_hot()
    scaling = learn_scaling("columns", TensorRows(x), groups)
    restored = Scaling(**scaling.state_dict()).unscale(scaling(x))
    assert restored is not None
    torch.testing.assert_close(restored, x)


def test_columns_need_groups_and_spread() -> None:
    x, groups = one_hot()
    with pytest.raises(InputError, match="scaling='columns' needs to know which inputs belong to which column"):
        learn_scaling("columns", TensorRows(x))
    x[:, 0] = 1
    with pytest.raises(InputError, match=r"1 features of x are constant .* so scaling='columns' would divide by 0"):
        learn_scaling("columns", TensorRows(x), groups)
    sparse = SparseRows.of(csr_array(np.eye(4)), "x")
    with pytest.raises(InputError, match="scaling='columns' would make numbers of all zeros of sparse samples"):
        learn_scaling("columns", sparse, [[0, 1], [2, 3]])
