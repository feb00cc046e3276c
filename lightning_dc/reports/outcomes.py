"""Tables of clusters against targets, with tests of their association."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_dc.batch import UNLABELLED, TargetSpec
from lightning_dc.reports.survival import log_rank_test, survival_statistics

_Values = NDArray[Any]


class OutcomeTable(NamedTuple):
    """Statistics of one target in each cluster.

    Attributes:
        target: name of the target.
        clusters: statistics by name of each of the K clusters; ``n`` is the number of samples that have the target, and
            NaN means undefined.
        total: statistics by name of all samples.
        tests: test statistics, p-values and effect sizes by name; NaN if fewer than two clusters or outcomes have
            samples.
    """

    target: str
    clusters: Sequence[Mapping[str, float]]
    total: Mapping[str, float]
    tests: Mapping[str, float]


def outcome_tables(clusters: _Values, targets: _Values, spec: TargetSpec, n_clusters: int) -> list[OutcomeTable]:
    """Return tables of clusters against each target; samples whose target is missing are left out.

    Classes and labels have a contingency table with Pearson's chi-square test and Cramer's V, values have a one-way
    analysis of variance with eta squared and the Kruskal-Wallis test, and survival has the log-rank test.

    Args:
        clusters: cluster of each sample, (N,), 0 to K - 1.
        targets: targets, as in :class:`~lightning_dc.batch.Batch`, (N,) or (N, T).
        spec: description of the targets.
        n_clusters: number of clusters K.

    Returns:
        One table; for multi-label and value targets, one table for each column.

    Raises:
        InputError: the targets are of survival, and lifelines is not installed.

    Example:
        >>> spec = TargetSpec("class", ("no", "yes"))
        >>> outcome_tables(np.array([0, 0, 1, 1]), np.array([0, 0, 1, -1]), spec, 2)[0].clusters
        [{'n': 2, 'no': 2, 'yes': 0}, {'n': 1, 'no': 0, 'yes': 1}]
    """
    if spec.kind == "class":
        known = targets != UNLABELLED
        return [_contingency("class", clusters[known], targets[known], spec.names, n_clusters)]
    known = ~np.isnan(targets)
    if spec.kind == "survival":
        rows = known.all(1)
        return [_survival(clusters[rows], targets[rows, 0], targets[rows, 1], n_clusters)]
    tables = []
    for name, column, has in zip(spec.names, targets.T, known.T, strict=True):
        if spec.kind == "multilabel":
            tables.append(_contingency(name, clusters[has], column[has].astype(int), ("0", "1"), n_clusters))
        else:
            tables.append(_values(name, clusters[has], column[has], n_clusters))
    return tables


def _contingency(
    target: str, clusters: _Values, classes: _Values, names: Sequence[str], n_clusters: int
) -> OutcomeTable:
    from scipy import stats

    table = np.zeros((n_clusters, len(names)), dtype=np.int64)
    np.add.at(table, (clusters, classes), 1)
    rows = [{"n": int(row.sum()), **dict(zip(names, map(int, row), strict=True))} for row in (*table, table.sum(0))]
    tests = dict.fromkeys(("chi_square", "p", "cramers_v"), float("nan"))
    met = table[table.any(1)][:, table.any(0)]
    if min(met.shape) > 1:
        test = stats.chi2_contingency(met, correction=False)
        association = stats.contingency.association(met, method="cramer")
        tests = {"chi_square": float(test.statistic), "p": float(test.pvalue), "cramers_v": float(association)}
    return OutcomeTable(target, rows[:-1], rows[-1], tests)


def _values(target: str, clusters: _Values, values: _Values, n_clusters: int) -> OutcomeTable:
    from scipy import stats

    def statistics(own: _Values) -> dict[str, float]:
        nan = float("nan")
        return {
            "n": len(own),
            "mean": float(own.mean()) if len(own) else nan,
            "std": float(own.std(ddof=1)) if len(own) > 1 else nan,
            "median": float(np.median(own)) if len(own) else nan,
        }

    values = values.astype(np.float64)
    groups = [values[clusters == k] for k in range(n_clusters)]
    met = [group for group in groups if len(group)]
    tests = dict.fromkeys(("anova_f", "p", "eta_squared", "kruskal_h", "kruskal_p"), float("nan"))
    if len(met) > 1 and len(values) > len(met) and np.ptp(values) > 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # groups without variance have an infinite F, which is correct
            anova, kruskal = stats.f_oneway(*met), stats.kruskal(*met)
        between = sum(len(group) * (group.mean() - values.mean()) ** 2 for group in met)
        tests = {
            "anova_f": float(anova.statistic),
            "p": float(anova.pvalue),
            "eta_squared": float(between / ((values - values.mean()) ** 2).sum()),
            "kruskal_h": float(kruskal.statistic),
            "kruskal_p": float(kruskal.pvalue),
        }
    return OutcomeTable(target, [statistics(group) for group in groups], statistics(values), tests)


def _survival(clusters: _Values, time: _Values, event: _Values, n_clusters: int) -> OutcomeTable:
    groups = [clusters == k for k in range(n_clusters)]
    rows = [survival_statistics(time[own], event[own]) for own in groups]
    return OutcomeTable("survival", rows, survival_statistics(time, event), log_rank_test(clusters, time, event))
