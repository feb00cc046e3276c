"""Rules by which `lightning-dc select` chooses a setting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lightning_dc.errors import InputError
from lightning_dc.functional import adjusted_rand_index, contingency_table
from lightning_dc.reports.run_folder import Run


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
    """

    setting: Setting
    silhouette_before: float
    stability: float
    silhouette_after: float
    loss: float
    loss_error: float
    n_selected: float


def agreement(first: Run, second: Run) -> float:
    """Return the adjusted Rand index of two clusterings on the samples that both have."""
    _, own, other = np.intersect1d(first.ids.numpy(), second.ids.numpy(), return_indices=True)
    a, b = first.labels[own], second.labels[other]
    return adjusted_rand_index(contingency_table(a, b, int(a.max()) + 1, int(b.max()) + 1).numpy())


def summarize(setting: Setting, runs: Sequence[Run]) -> Scores:
    """Return the scores of a setting from its runs, of which there must be at least two."""
    losses = np.array([run.loss for run in runs])
    return Scores(
        setting,
        silhouette_before=float(np.mean([run.silhouette_before for run in runs])),
        stability=float(np.mean([agreement(a, b) for a, b in itertools.combinations(runs, 2)])),
        silhouette_after=float(np.mean([run.silhouette_after for run in runs])),
        loss=float(losses.mean()),
        loss_error=float(losses.std(ddof=1) / np.sqrt(len(losses))),
        n_selected=float(np.mean([np.nan if run.selected is None else len(run.selected) for run in runs])),
    )


def choose(scores: Sequence[Scores]) -> Scores:
    """Choose K by silhouette before clustering and stability, then alpha and beta by the one-standard-error rule.

    Args:
        scores: scores of all settings.

    Returns:
        Scores of the chosen setting.

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
    candidates = max(by_k.values(), key=lambda usable: np.mean([_quality(score) for score in usable]))
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
