"""Rules by which `lightning-dc select` chooses a setting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_dc.errors import InputError
from lightning_dc.functional import adjusted_rand_index, contingency_table
from lightning_dc.reports.run_folder import Run

LEAST_STABILITY = 0.75
"""Jaccard index from which on a cluster is stable (Hennig 2007), and ARI from which on a clustering is."""

LEAST_SEPARATION = 0.3
"""Depth of the valley between two clusters, in heights of the lower one, from which on they are separated."""


class Setting(NamedTuple):
    """Setting of a grid: number of clusters K, alpha and beta; None leaves a value to the configuration."""

    k: int | None
    alpha: float | None
    beta: float | None

    def flags(self, configuration: Mapping[str, Any]) -> list[str]:
        """Return the arguments of ``lightning-dc fit`` for this setting.

        Args:
            configuration: configuration of the runs, as ``lightning-dc fit --print_config`` prints it.
        """
        flags = [] if self.k is None else [f"--model.n_clusters={self.k}"]
        for phase, values in (
            ("pretraining", {"sparsity": self.alpha}),
            ("joint", {"sparsity": self.alpha, "distance": self.beta}),
        ):
            weights = configuration["model"]["init_args"].get(phase, {}).get("loss_weights", {})
            for term, value in values.items():
                if value is not None:
                    end = ".end" if _has_end(weights.get(term)) else ""
                    flags.append(f"--model.{phase}.loss_weights.{term}{end}={value}")
        return flags


class Scores(NamedTuple):
    """Scores of a setting: means over its resamples, and the standard error of the loss.

    Attributes:
        setting: the setting.
        silhouette_before: silhouette in the embedding before clustering, which is the same for all K.
        stability: adjusted Rand index of the clusters of two resamples.
        silhouette_after: silhouette in the trained embedding, which cannot be compared between settings.
        loss: held-out loss of the task.
        loss_error: its standard error; since the resamples overlap, it is smaller than that of independent data.
        n_selected: number of inputs that were kept.
        recovery: Jaccard index of the least stable cluster of two resamples (Hennig 2007).
        separation: depth of the valley between the two clusters that are separated least, in the embedding before
            clustering.
        clustered: share of the resamples in which the inputs have clusters at all, compared with shuffled inputs.
    """

    setting: Setting
    silhouette_before: float
    stability: float
    silhouette_after: float
    loss: float
    loss_error: float
    n_selected: float
    recovery: float = math.nan
    separation: float = math.nan
    clustered: float = math.nan


def agreement(first: Run, second: Run) -> float:
    """Return the adjusted Rand index of two clusterings on the samples that both have."""
    return adjusted_rand_index(_in_common(first, second))


def recovery(first: Run, second: Run) -> float:
    """Return how well two clusterings find the same clusters, on the samples that both have, for the worst cluster.

    Each cluster of either one has the largest Jaccard index that it has with a cluster of the other one; this is the
    least of them. It is the stability of a single cluster of Hennig (2007,
    https://doi.org/10.1016/j.csda.2006.11.025), of the least stable one. 1 if both are the same; a cluster that the
    other one cuts into halves has 0.5.
    """
    table = _in_common(first, second).astype(float)
    table = table[table.any(1)][:, table.any(0)]
    jaccard = table / (table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table)
    return float(min(jaccard.max(1).min(), jaccard.max(0).min()))


def _in_common(first: Run, second: Run) -> NDArray[np.int64]:
    """Return the numbers of samples of two clusterings in common by both clusters."""
    _, own, other = np.intersect1d(first.ids.numpy(), second.ids.numpy(), return_indices=True)
    a, b = first.labels[own], second.labels[other]
    return contingency_table(a, b, int(a.max()) + 1, int(b.max()) + 1).numpy()


def summarize(setting: Setting, runs: Sequence[Run]) -> Scores:
    """Return the scores of a setting from its runs, of which there must be at least two."""
    losses = np.array([run.loss for run in runs])
    pairs = list(itertools.combinations(runs, 2))
    return Scores(
        setting,
        silhouette_before=float(np.mean([run.silhouette_before for run in runs])),
        stability=float(np.mean([agreement(*pair) for pair in pairs])),
        silhouette_after=float(np.mean([run.silhouette_after for run in runs])),
        loss=float(losses.mean()),
        loss_error=float(losses.std(ddof=1) / np.sqrt(len(losses))),
        n_selected=float(np.mean([np.nan if run.selected is None else len(run.selected) for run in runs])),
        recovery=float(np.mean([recovery(*pair) for pair in pairs])),
        separation=float(np.mean([run.separation for run in runs])),
        clustered=float(np.mean([run.clustered for run in runs])),
    )


def choose(scores: Sequence[Scores]) -> Scores | None:
    """Choose K by stability and separation, then alpha and beta by the one-standard-error rule.

    K is acceptable if its clusters are stable and separated, unless most resamples have no more structure than inputs
    that are shuffled. Of these K the largest one is chosen that recovers every
    cluster on every resample; if there is none, the best one by silhouette before clustering and stability. A single K
    is not judged.

    Args:
        scores: scores of all settings.

    Returns:
        Scores of the chosen setting; None if no K is acceptable: the data have no clusters, as far as these K tell.

    Raises:
        InputError: no setting has a silhouette, or alpha or beta is to be chosen and no setting of the best K has a
            held-out loss.
    """
    by_k: dict[int | None, list[Scores]] = {}
    for score in scores:
        if math.isfinite(_quality(score)):
            by_k.setdefault(score.setting.k, []).append(score)
    if not by_k:
        raise InputError("no setting has more than one cluster in each resample; choose other values of k")
    is_judged = len({score.setting.k for score in scores}) > 1
    candidates = _of_best_k(list(by_k.values())) if is_judged else by_k[scores[0].setting.k]
    if candidates is None:
        return None
    measured = [score for score in candidates if math.isfinite(score.loss)]
    if not measured:
        if any(value is not None for score in candidates for value in score.setting[1:]):
            raise InputError(
                "alpha and beta are chosen by the held-out loss of the task, but no run of the best k "
                f"({candidates[0].setting.k}) has logged one that is finite as val/task; leave --alpha and --beta out, "
                "or give data with targets in the held-out rows"
            )
        return candidates[0]
    best = min(measured, key=lambda score: score.loss)
    near = [score for score in measured if score.loss <= best.loss + best.loss_error]
    return max(near, key=lambda score: (score.setting.alpha or 0.0, score.setting.beta or 0.0))


def _of_best_k(groups: Sequence[Sequence[Scores]]) -> Sequence[Scores] | None:
    """Return the settings of the best K; None if no K is acceptable.

    Args:
        groups: usable settings of each K.
    """

    def mean(key: str, group: Sequence[Scores]) -> float:
        return float(np.mean([getattr(score, key) for score in group]))

    acceptable = [
        group
        for group in groups
        if mean("stability", group) >= LEAST_STABILITY
        and not mean("separation", group) < LEAST_SEPARATION
        and not mean("clustered", group) < 0.5
    ]
    recovered = [group for group in acceptable if mean("recovery", group) >= LEAST_STABILITY]
    if recovered:
        return max(recovered, key=lambda group: group[0].setting.k or 0)
    return max(acceptable, key=lambda group: np.mean([_quality(score) for score in group]), default=None)


def _quality(score: Scores) -> float:
    """Return the mean of silhouette before clustering and stability; NaN if a resample has a single cluster."""
    return (score.silhouette_before + score.stability) / 2


def selection_shares(runs: Sequence[Run]) -> dict[str, float]:
    """Return the share of the runs that kept each input, largest first; inputs that no run kept are left out."""
    kept = [name for run in runs for name in run.selected or ()]
    shares = {name: kept.count(name) / len(runs) for name in dict.fromkeys(kept)}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _has_end(weight: Any) -> bool:
    """Return whether a loss weight, given in primitives, is a schedule with an ``end``."""
    return isinstance(weight, Mapping) and "end" in weight.get("init_args", {})
