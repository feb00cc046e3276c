"""Partitions from which the EM algorithm of a mixture starts."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.kmeans import kmeans
from lightning_dc.kmeans.prototypes import Linkage, merge_prototypes

_N_INIT = 10  # restarts of k-means with K clusters
_N_INIT_MICRO = 3  # of k-means with many clusters, whose place hardly matters
_MICRO_CLUSTERS = ((60, 3), (200, 10))  # least number, and number for each cluster
_ROWS_OF_A_MICRO_CLUSTER = 5


def partitions(z: Tensor, n_clusters: int, generator: torch.Generator) -> list[Tensor]:
    """Return different partitions of samples into K clusters, as labels, (N,), int64.

    The first one is that of k-means. For the others, k-means makes many small clusters, whose centroids are merged by
    Ward's criterion or by average linkage. Such clusters may be long, small or unequal, which those of k-means are not.

    Args:
        z: samples, (N, D).
        n_clusters: number of clusters K.
        generator: random numbers of k-means.
    """
    found = [kmeans(z, n_clusters, n_init=_N_INIT, generator=generator).labels]
    for i, (least, of_each) in enumerate(_MICRO_CLUSTERS):
        n_micro = min(max(least, of_each * n_clusters), len(z) // _ROWS_OF_A_MICRO_CLUSTER)
        if n_micro <= n_clusters:
            continue
        small = kmeans(z, n_micro, n_init=_N_INIT_MICRO, generator=generator)
        linkages: tuple[Linkage, ...] = ("ward", "average") if i == 0 else ("ward",)
        found += [merge_prototypes(small.centroids, n_clusters, linkage)[small.labels] for linkage in linkages]
    return found
