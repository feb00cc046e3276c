"""Comparison of probabilities with the shares of samples for which they have come true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.functional import contingency_table, match_clusters

N_BINS = 10
"""Number of bins of the same width, as Guo et al. 2017, https://arxiv.org/abs/1706.04599, use them."""


class ReliabilityBin(NamedTuple):
    """Samples whose probabilities lie in one interval.

    Attributes:
        predicted: mean of their probabilities.
        kept: share of them that have kept their cluster.
        n_samples: their number.
    """

    predicted: float
    kept: float
    n_samples: int


def reliability_bins(predicted: Tensor, kept: Tensor, n_bins: int = N_BINS) -> list[ReliabilityBin]:
    """Return the bins of probabilities that have samples, from the lowest to the highest.

    Args:
        predicted: probability of each sample that it keeps its cluster, (n,).
        kept: whether it has kept it, or the share of cases in which it has, (n,).
        n_bins: number of bins of the same width between 0 and 1.

    Example:
        >>> reliability_bins(torch.tensor([0.25, 0.75, 1.0]), torch.tensor([0, 1, 0]), n_bins=2)[1]
        ReliabilityBin(predicted=0.875, kept=0.5, n_samples=2)
    """
    predicted, kept = predicted.double().cpu(), kept.double().cpu()
    of_sample = (predicted * n_bins).long().clamp(0, n_bins - 1)
    bins = []
    for number in sorted(set(of_sample.tolist())):
        own = of_sample == number
        bins.append(ReliabilityBin(float(predicted[own].mean()), float(kept[own].mean()), int(own.sum())))
    return bins


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error: the mean difference of both columns, weighted by the samples."""
    total = sum(each.n_samples for each in bins)
    return sum(each.n_samples * abs(each.predicted - each.kept) for each in bins) / total


def keeps_cluster(before: Tensor, after: Tensor) -> Tensor:
    """Return whether each sample keeps its cluster, (n,), once the clusters are matched by the Hungarian method.

    Args:
        before: cluster of each sample, (n,), not negative.
        after: its cluster in another clustering, (n,), not negative; numbers and their count may be others.
    """
    n_clusters = 1 + int(torch.stack([before.max(), after.max()]).max())
    match = match_clusters(contingency_table(before, after, n_clusters, n_clusters))
    return match[before.to(torch.int64)] == after


def agreement_of_runs(first: str | Path, second: str | Path, column: str = "head_stability") -> list[ReliabilityBin]:
    """Compare a probability that one run gives with the clusters of a second run on the same data.

    A second run with another seed trains the encoder anew, which the head alone cannot tell.

    Args:
        first: file of clusters of the run whose probabilities are judged, ``.parquet``, ``.csv`` or ``.npz``.
        second: that of the second run; samples in both files are compared.
        column: the probability, ``head_stability`` or ``confidence``.

    Raises:
        InputError: the first file lacks the column, or no sample is in both files.
    """
    before, after = _read(Path(first), ("index", "cluster", column)), _read(Path(second), ("index", "cluster"))
    _, rows, others = np.intersect1d(before["index"], after["index"], return_indices=True)
    if len(rows) == 0:
        raise InputError(f"{first} and {second} have no sample in common; give two runs on the same data")
    labels = torch.from_numpy(before["cluster"][rows])
    kept = keeps_cluster(labels, torch.from_numpy(after["cluster"][others]))
    return reliability_bins(torch.from_numpy(before[column][rows]), kept)


def _read(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read columns of a file of clusters."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in names if name in arrays}
    else:
        from pyarrow import csv, parquet

        table = csv.read_csv(path) if path.suffix == ".csv" else parquet.read_table(path)
        found = {name: table[name].to_numpy() for name in names if name in table.column_names}
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; give a file of clusters that has it")
    return {name: np.array(values) for name, values in found.items()}
