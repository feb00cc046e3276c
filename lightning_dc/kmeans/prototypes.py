"""Merging of many small clusters of k-means into few clusters of any shape."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_dc.errors import InputError

Linkage = Literal["average", "ward", "complete", "single"]


def check_linkage(linkage: str) -> None:
    """Check the name of a linkage.

    Raises:
        InputError: it is unknown.
    """
    if linkage not in get_args(Linkage):
        raise InputError(f"linkage={linkage!r} is unknown; choose from {', '.join(get_args(Linkage))}")


def merge_prototypes(prototypes: Tensor, n_clusters: int, linkage: Linkage) -> Tensor:
    """Merge prototypes, such as the centroids of many small clusters, by agglomerative clustering.

    The sizes of the small clusters do not count, so that a large cluster is not cut where it is dense.

    Args:
        prototypes: points, (M, D), finite.
        n_clusters: number of clusters K, at most M.
        linkage: ``average``, ``ward``, ``complete`` or ``single``, all of Euclidean distances, as in scikit-learn's
            ``AgglomerativeClustering``.

    Returns:
        Cluster of each prototype, (M,), int64.

    Raises:
        InputError: there are fewer prototypes than clusters, or the linkage is unknown.
    """
    from sklearn.cluster import AgglomerativeClustering

    check_linkage(linkage)
    if len(prototypes) < n_clusters:
        raise InputError(f"n_clusters={n_clusters} is more than the {len(prototypes)} prototypes; raise n_prototypes")
    points = prototypes.detach().double().cpu().numpy()
    merged = AgglomerativeClustering(n_clusters, linkage=linkage).fit_predict(points)
    return torch.as_tensor(merged, dtype=torch.int64).to(prototypes.device)
