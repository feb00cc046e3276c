"""Refresh of prototypes by k-means, and of the clusters that they are merged into."""

from __future__ import annotations

import torch

from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import broadcast_
from lightning_dc.errors import InputError
from lightning_dc.heads import PrototypeHead
from lightning_dc.kmeans import kmeans
from lightning_dc.kmeans.prototypes import Linkage, check_linkage, merge_prototypes
from lightning_dc.randomness import mix_seed
from lightning_dc.training import ClusteringModule, embed_owned, training_loader

_SAMPLES_OF_A_PROTOTYPE = 5


class PrototypeRefresh(Refresh):
    """Callback that sets the prototypes of a :class:`~lightning_dc.heads.PrototypeHead` when a phase begins.

    K-means over the embeddings of the whole training set makes one small cluster for each prototype; see
    :func:`~lightning_dc.kmeans.prototypes.merge_prototypes` for how they become clusters. Each process holds its own
    rows of the data. Of few samples there are fewer prototypes, one for five samples, but at least one a cluster.

    Args:
        linkage: linkage of the merger.
        n_init: restarts of k-means.

    Raises:
        InputError: the linkage is unknown, or ``n_init`` is below 1.
    """

    def __init__(self, linkage: Linkage, n_init: int) -> None:
        check_linkage(linkage)
        if n_init < 1:
            raise InputError(f"n_init={n_init} must be at least 1")
        super().__init__()
        self.linkage: Linkage = linkage
        self.n_init = n_init

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        head = module.model.head
        assert isinstance(head, PrototypeHead)
        loader, n_prototypes = training_loader(module), len(head.prototypes)
        n_used = min(n_prototypes, max(head.n_clusters, loader.n_samples // _SAMPLES_OF_A_PROTOTYPE))
        small = kmeans(
            embed_owned(module, loader),
            n_used,
            n_total=loader.n_samples,
            n_init=self.n_init,
            generator=torch.Generator().manual_seed(mix_seed(module.state.seed, module.global_step)),
        )
        of = torch.arange(n_prototypes, device=small.centroids.device) % n_used  # those that are left over come twice
        head.prototypes.copy_(small.centroids[of])
        head.clusters.copy_(merge_prototypes(small.centroids, head.n_clusters, self.linkage)[of])
        for own in (head.prototypes, head.clusters):
            broadcast_(own)  # processors of different kinds may round differently
