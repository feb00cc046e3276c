"""Tests of the normal distribution by which missing inputs are replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import datamodules.tables.encoding
from datamodules import TableDataModule
from datamodules.tables.normal import Normal
from lightning_dc.errors import InputError

ALL = 1 << 30


def correlated(n: int, seed: int = 0) -> np.ndarray:
    """Return rows of three inputs, of which the third follows from the others but for noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 3)) * (1, 100, 1) + (0, 1000, 0)
    x[:, 2] = x[:, 0] + x[:, 1] / 100 + 0.1 * random.normal(size=n)
    return x


def table(frame: pd.DataFrame, **arguments: Any) -> TableDataModule:
    data = TableDataModule(frame, scaling="none", **arguments)
    data.setup("fit")
    return data


def inputs(data: TableDataModule) -> pd.DataFrame:
    return pd.DataFrame(data.predict_dataloader().read(0, ALL).x.numpy(), columns=list(data.feature_names))


def test_the_estimate_is_that_of_a_regression_where_the_likelihood_has_a_closed_form() -> None:
    x = correlated(4000)
    gaps = x[:, 0] > 0.5  # at random given what is known: the last input is missing where the first one is large
    known, x[gaps, 2] = LinearRegression().fit(x[~gaps, :2], x[~gaps, 2]), np.nan
    filled = x.copy()
    Normal.learn(x).fill(filled)
    np.testing.assert_allclose(filled[gaps, 2], known.predict(x[gaps, :2]), atol=0.1)
    np.testing.assert_array_equal(filled[~gaps], x[~gaps])
    assert abs(filled[gaps, 2].mean() - np.nanmean(x[:, 2])) > 1  # which a mean of the column would miss


def test_the_expectation_is_that_of_the_textbook() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(6, 6))
    mean, deviation, covariance = random.normal(size=6), random.uniform(1, 3, 6), root @ root.T + np.eye(6)
    complete = random.normal(size=(50, 6))
    gaps = random.random((50, 6)) < 0.4
    x = np.where(gaps, np.nan, complete)
    Normal(mean, deviation, covariance).fill(x)
    full = deviation[:, None] * covariance * deviation
    for row, gap, value in zip(x, gaps, complete, strict=True):
        known = value[~gap] - mean[~gap]
        coefficients = full[np.ix_(gap, ~gap)] @ np.linalg.pinv(full[np.ix_(~gap, ~gap)])
        np.testing.assert_allclose(row[gap], mean[gap] + coefficients @ known, rtol=1e-8)
        np.testing.assert_array_equal(row[~gap], value[~gap])


def test_of_few_rows_the_expectation_is_near_the_mean() -> None:
    x = np.random.default_rng(0).normal(size=(6, 40))
    x[0, 0] = np.nan
    filled = x.copy()
    Normal.learn(x).fill(filled)
    assert abs(filled[0, 0] - np.nanmean(x[:, 0])) < np.nanstd(x[:, 0])


def test_gaps_of_a_table_are_filled_by_what_the_other_columns_tell() -> None:
    x = correlated(400)
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind=np.where(x[:, 0] > 0, "high", "low"))
    gone = frame.copy()
    gone.loc[:19, "c"] = None
    gone.loc[20:39, "kind"] = None
    data = table(gone, categorical="kind", missing="regression")
    filled = inputs(data)
    assert np.abs(filled["c"][:20] - frame["c"][:20]).mean() < 0.3  # of a deviation of 1.7
    assert np.corrcoef(filled["kind=high"][20:40], x[20:40, 0])[0, 1] > 0.9
    np.testing.assert_allclose(filled["kind=high"] + filled["kind=low"], 1, atol=0.01)
    new = TableDataModule(gone[10:30].reset_index(drop=True), scaling="none")
    new.load_preprocessing_state(data.preprocessing_state())
    np.testing.assert_allclose(inputs(new), filled[10:30], rtol=1e-5)


def test_a_row_without_any_value_is_the_mean() -> None:
    frame = pd.DataFrame(correlated(200), columns=["a", "b", "c"])
    frame.loc[7] = np.nan
    np.testing.assert_allclose(inputs(table(frame, missing="regression")).iloc[7], frame.mean(), rtol=1e-3)


def test_of_many_inputs_the_median_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datamodules.tables.encoding, "MOST_INPUTS", 2)
    frame = pd.DataFrame(correlated(200), columns=["a", "b", "c"])
    frame.loc[7, "c"] = np.nan
    assert inputs(table(frame, missing="regression"))["c"][7] == pytest.approx(frame["c"].median(), rel=1e-5)


def test_regression_is_learned_in_training_alone(tmp_path: Path) -> None:
    frame = pd.DataFrame(correlated(200), columns=["a", "b", "c"])
    new = TableDataModule(frame.assign(c=None), missing="regression")
    new.load_preprocessing_state(table(frame).preprocessing_state())
    with pytest.raises(InputError, match="column 'c' has no value in row 0; set missing to mean, median or most_freq"):
        new.predict_dataloader()
