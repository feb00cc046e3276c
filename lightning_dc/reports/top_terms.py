"""Top terms of clusters of texts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_dc.batch import Documents, SampleLoader
from lightning_dc.files import whole_csv
from lightning_dc.reports.input_statistics import input_statistics


class TopTerm(NamedTuple):
    """Feature that distinguishes a cluster from all other samples.

    Attributes:
        cluster: number of the cluster.
        rank: rank in the cluster; 1 is the feature with the largest difference.
        term: name of the feature.
        mean: mean of the feature in the cluster, scaled as the model sees it.
        mean_of_rest: mean of the feature in all other samples, scaled likewise.
    """

    cluster: int
    rank: int
    term: str
    mean: float
    mean_of_rest: float


def top_terms(
    loader: SampleLoader, labels: Tensor, n_clusters: int, names: Sequence[str], n_terms: int
) -> list[TopTerm]:
    """Return the features with the largest difference between the mean in a cluster and in all other samples.

    :func:`~lightning_dc.reports.input_statistics.input_statistics` describes how the samples are read.

    Args:
        loader: the data.
        labels: cluster of each sample, (N,).
        n_clusters: number of clusters K.
        names: name of each feature, (F,).
        n_terms: largest number of terms of a cluster; features whose mean is not larger in the cluster than in all
            other samples do not count.

    Returns:
        Terms, ordered by cluster and rank; none for a cluster without samples, or with all of them.
    """
    statistics = input_statistics(loader, labels, n_clusters, len(names)).cpu()
    return _ranked(statistics.sizes, statistics.means, statistics.means_of_rest, names, n_terms)


def top_terms_of_documents(
    documents: Documents, rows: Tensor, labels: Tensor, n_clusters: int, n_terms: int
) -> list[TopTerm]:
    """Return the terms with the largest difference between the mean weight in a cluster and in all other samples.

    Args:
        documents: texts of the samples, which need not be their inputs.
        rows: source row of each sample, (N,).
        labels: cluster of each sample, (N,).
        n_clusters: number of clusters K.
        n_terms: largest number of terms of a cluster, as in :func:`top_terms`.

    Returns:
        Terms, as those of :func:`top_terms`; means are those of the weights.
    """
    from scipy.sparse import csr_matrix

    weights, names = documents.weigh_terms(rows.numpy())
    own = labels.numpy().astype(np.int64)
    members = csr_matrix((np.ones(len(own)), (own, np.arange(len(own)))), shape=(n_clusters, len(own)))
    sums = torch.from_numpy((members @ weights).toarray())
    sizes = torch.from_numpy(np.bincount(own, minlength=n_clusters)).double()
    rest = (sums.sum(0) - sums) / (len(own) - sizes)[:, None]
    return _ranked(sizes, sums / sizes[:, None], rest, names, n_terms)


def _ranked(sizes: Tensor, means: Tensor, rest: Tensor, names: Sequence[str], n_terms: int) -> list[TopTerm]:
    """Return the terms whose mean in a cluster exceeds that in all other samples most, for each cluster."""
    found = []
    for k in range(len(sizes)):
        if sizes[k] in (0, sizes.sum()):
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
