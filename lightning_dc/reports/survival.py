"""Survival analysis of clusters by lifelines: Kaplan-Meier curves, log-rank test, concordance."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Values = NDArray[Any]


def check_lifelines() -> None:
    """Check that lifelines, which the survival analysis needs, is installed.

    Raises:
        InputError: lifelines is not installed.
    """
    if importlib.util.find_spec("lifelines") is None:
        raise InputError(
            "outcomes of survival targets need lifelines, which is not installed; run pip install "
            "'lightning-dc[survival]', or leave them out with --outcomes.file_name null"
        )


def survival_statistics(time: _Values, event: _Values) -> dict[str, float]:
    """Return the numbers of samples, ``n``, and of ``events``, and the median survival time by Kaplan-Meier.

    Args:
        time: time of the event or of censoring, (N,).
        event: 1 if the event was observed, 0 if it was censored, (N,).

    Returns:
        ``n``, ``events`` and ``median_time``, in the unit of ``time``: infinite if the survival does not fall to one
        half, and NaN without samples.

    Raises:
        InputError: lifelines is not installed.
    """
    check_lifelines()
    from lifelines import KaplanMeierFitter

    median = float(KaplanMeierFitter().fit(time, event).median_survival_time_) if len(time) else float("nan")
    return {"n": len(time), "events": int(event.sum()), "median_time": median}


def log_rank_test(clusters: _Values, time: _Values, event: _Values) -> dict[str, float]:
    """Test by the log-rank test whether survival is equal in all clusters.

    Args:
        clusters: cluster of each sample, (N,).
        time: time of the event or of censoring, (N,).
        event: 1 if the event was observed, 0 if it was censored, (N,).

    Returns:
        ``log_rank`` (chi-square) and ``p``; NaN with fewer than two clusters, or without an event.

    Raises:
        InputError: lifelines is not installed.
    """
    check_lifelines()
    from lifelines.statistics import multivariate_logrank_test

    if len(np.unique(clusters)) < 2 or not event.any():
        return {"log_rank": float("nan"), "p": float("nan")}
    test = multivariate_logrank_test(time, clusters, event)
    return {"log_rank": float(test.test_statistic), "p": float(test.p_value)}


def concordance(log_risk: _Values, time: _Values, event: _Values) -> float:
    """Return Harrell's concordance index: the share of comparable pairs in which the higher risk has the event first.

    Samples with a missing time or event are left out.

    Args:
        log_risk: predicted log risk, which is higher if the event is expected sooner, (N,).
        time: time of the event or of censoring, (N,); NaN if missing.
        event: 1 if the event was observed, 0 if it was censored, (N,); NaN if missing.

    Returns:
        A number between 0 and 1, which is 0.5 by chance; NaN without a comparable pair.

    Raises:
        InputError: lifelines is not installed.
    """
    check_lifelines()
    from lifelines.utils import concordance_index

    known = ~(np.isnan(time) | np.isnan(event))
    try:
        return float(concordance_index(time[known], -log_risk[known], event[known]))
    except ZeroDivisionError:  # no comparable pair
        return float("nan")


def kaplan_meier_figure(clusters: _Values, time: _Values, event: _Values, title: str) -> Figure:
    """Draw the survival curve of each cluster with its 95 % confidence band, and the log-rank p-value.

    Args:
        clusters: cluster of each sample, (N,).
        time: time of the event or of censoring, (N,); NaN if missing.
        event: 1 if the event was observed, 0 if it was censored, (N,); NaN if missing.
        title: title of the figure, which the p-value follows.

    Raises:
        InputError: lifelines is not installed.
    """
    check_lifelines()
    from lifelines import KaplanMeierFitter
    from matplotlib.figure import Figure

    known = ~(np.isnan(time) | np.isnan(event))
    clusters, time, event = clusters[known], time[known], event[known]
    figure = Figure(figsize=(7, 5), layout="constrained")  # a figure of pyplot would stay in memory
    axes = figure.subplots()
    for cluster in np.unique(clusters):
        own = clusters == cluster
        curve = KaplanMeierFitter().fit(time[own], event[own])
        label = f"cluster {cluster} ({own.sum()} samples, {int(event[own].sum())} events)"
        (line,) = axes.step(curve.timeline, curve.survival_function_.to_numpy()[:, 0], where="post", label=label)
        low, high = curve.confidence_interval_.to_numpy().T
        axes.fill_between(curve.timeline, low, high, step="post", alpha=0.2, color=line.get_color(), linewidth=0)
    axes.set(xlabel="time", ylabel="surviving share", ylim=(0, 1.02))
    axes.legend()
    axes.set_title(f"{title}: log-rank p = {log_rank_test(clusters, time, event)['p']:.2g}")
    return figure
