"""Tests of concordance and survival curves against scikit-survival."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
from sksurv.compare import compare_survival
from sksurv.metrics import concordance_index_censored
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from lightning_dc import InputError
from lightning_dc.reports.survival import check_lifelines, concordance, kaplan_meier_figure


def data(n: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw log risks, times with ties, and events."""
    random = np.random.default_rng(0)
    risk = random.normal(size=n)
    death, censoring = random.exponential(np.exp(-risk)), random.exponential(1.5, n)
    return risk, np.minimum(death, censoring).round(1), (death <= censoring).astype(float)


def test_concordance_is_that_of_scikit_survival() -> None:
    risk, _, event = data()
    time = data()[1] + np.linspace(0, 0.01, 80)  # the two treat ties in time differently
    expected = concordance_index_censored(event == 1, time, risk)[0]
    assert concordance(risk, time, event) == pytest.approx(expected)
    assert concordance(-risk, time, event) == pytest.approx(1 - expected)
    holes = np.concatenate([time, [1.0, np.nan]]), np.concatenate([event, [np.nan, 1.0]])
    assert concordance(np.append(risk, [9.0, 9.0]), *holes) == pytest.approx(expected)


def test_without_a_comparable_pair_there_is_no_concordance() -> None:
    assert math.isnan(concordance(np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.zeros(2)))
    assert math.isnan(concordance(np.zeros(0), np.zeros(0), np.zeros(0)))


def test_curves_are_those_of_scikit_survival() -> None:
    _, time, event = data()
    clusters = np.arange(80) % 3
    event[4], time[7] = np.nan, np.nan
    axes = kaplan_meier_figure(clusters, time, event, "training").axes[0]
    known = ~(np.isnan(event) | np.isnan(time))
    assert len(axes.lines) == 3
    for k, line in enumerate(axes.lines):
        own = known & (clusters == k)
        times, shares = kaplan_meier_estimator(event[own] == 1, time[own])
        drawn = dict(zip(*map(np.ndarray.tolist, map(np.asarray, line.get_data())), strict=True))
        assert [drawn[t] for t in times] == pytest.approx(shares.tolist())
        assert f"cluster {k} ({own.sum()} samples, {int(event[own].sum())} events)" == line.get_label()
        low, high = kaplan_meier_estimator(event[own] == 1, time[own], conf_type="log-log")[2]
        band = {(x, round(y, 6)) for x, y in axes.collections[k].get_paths()[0].vertices}
        assert {(t, round(y, 6)) for t, y in [*zip(times, low, strict=True), *zip(times, high, strict=True)]} <= band
    p = compare_survival(Surv.from_arrays(event[known] == 1, time[known]), clusters[known])[1]
    assert axes.get_title() == f"training: log-rank p = {p:.2g}"


def test_without_lifelines_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "lifelines" else found(name))
    with pytest.raises(InputError, match=r"pip install 'lightning-dc\[survival\]'"):
        check_lifelines()
