"""Refresh of prototypes by k-means, and of the clusters that they are merged into."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import broadcast_
from lightning_dc.errors import InputError
from lightning_dc.heads import ClusteringHead, PrototypeHead
from lightning_dc.kmeans import KMeansResult, kmeans
from lightning_dc.kmeans.prototypes import Linkage, check_linkage, merge_prototypes
from lightning_dc.randomness import mix_seed
from lightning_dc.training import ClusteringModule, HeadFit, embed_owned, training_loader

_SAMPLES_OF_A_PROTOTYPE = 5


class PrototypeRefresh(Refresh, HeadFit):
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
        loader = training_loader(module)
        small = kmeans(
            embed_owned(module, loader),
            _number_of_prototypes(head, loader.n_samples),
            n_total=loader.n_samples,
            n_init=self.n_init,
            generator=torch.Generator().manual_seed(mix_seed(module.state.seed, module.global_step)),
        )
        self._place(head, small)
        for own in (head.prototypes, head.clusters):
            broadcast_(own)  # processors of different kinds may round differently

    @torch.no_grad()
    def fit_copy(self, head: ClusteringHead, z: Tensor, generator: torch.Generator) -> ClusteringHead:
        assert isinstance(head, PrototypeHead)
        copied = copy.deepcopy(head)
        self._place(copied, kmeans(z, _number_of_prototypes(head, len(z)), n_init=self.n_init, generator=generator))
        return copied

    def _place(self, head: PrototypeHead, small: KMeansResult) -> None:
        """Set the prototypes of a head to the centroids of small clusters, and merge these into its clusters."""
        n_prototypes, n_used = len(head.prototypes), len(small.centroids)
        of = torch.arange(n_prototypes, device=small.centroids.device) % n_used  # those that are left over come twice
        head.prototypes.copy_(small.centroids[of])
        head.clusters.copy_(merge_prototypes(small.centroids, head.n_clusters, self.linkage)[of])


def _number_of_prototypes(head: PrototypeHead, n_samples: int) -> int:
    """Return how many prototypes samples are enough for."""
    return min(len(head.prototypes), max(head.n_clusters, n_samples // _SAMPLES_OF_A_PROTOTYPE))
