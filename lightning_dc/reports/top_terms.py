"""Terms that the texts of a cluster have more of than the other texts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.files import whole_csv
from lightning_dc.reports.input_statistics import input_statistics


class TopTerm(NamedTuple):
    """A feature that tells a cluster from the rest.

    Attributes:
        cluster: the cluster.
        rank: 1 for the feature of the largest difference.
        term: name of the feature.
        mean: its mean in the cluster, as the model sees it: scaled.
        mean_of_rest: its mean in all other samples.
    """

    cluster: int
    rank: int
    term: str
    mean: float
    mean_of_rest: float


def top_terms(
    loader: SampleLoader, labels: Tensor, n_clusters: int, names: Sequence[str], n_terms: int
) -> list[TopTerm]:
    """Return the features with the largest difference of means, in the cluster minus in all other samples.

    See :func:`~lightning_dc.reports.input_statistics.input_statistics` for how the samples are read.

    Args:
        loader: the data.
        labels: cluster of each sample, (N,).
        n_clusters: number of clusters K.
        names: name of each feature, (F,).
        n_terms: most terms of a cluster; features that are not more frequent in it than in the rest are none.

    Returns:
        Terms by cluster and rank; none for a cluster without samples, or with all of them.
    """
    statistics = input_statistics(loader, labels, n_clusters, len(names)).cpu()
    sizes, means, rest = statistics.sizes, statistics.means, statistics.means_of_rest
    found = []
    for k in range(n_clusters):
        if sizes[k] in (0, len(labels)):
            continue
        difference = means[k] - rest[k]
        for rank, j in enumerate(difference.argsort(descending=True, stable=True)[:n_terms].tolist(), 1):
            if difference[j] > 0:
                found.append(TopTerm(k, rank, names[j], float(means[k, j]), float(rest[k, j])))
    return found


def write_terms(path: Path, terms: Sequence[TopTerm]) -> None:
    """Write top terms to a CSV file."""
    with whole_csv(path) as file:
        writer = csv.writer(file)
        writer.writerow(TopTerm._fields)
        writer.writerows(terms)
