"""Centroids from k-means."""

from __future__ import annotations

import torch

from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import broadcast_, owned_rows, sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import contingency_table, match_clusters
from lightning_dc.kmeans import kmeans
from lightning_dc.randomness import mix_seed
from lightning_dc.training import ClusteringModule, centroid_head, embed_owned, training_loader


class CentroidRefresh(Refresh):
    """K-means over the embeddings of the whole training set sets the centroids.

    It runs with ``n_init`` restarts when a phase begins that asks for centroids, as in DEC
    (https://arxiv.org/abs/1511.06335, section 3.1.3), and then, if an interval is given, every n steps or epochs from
    the centroids as they are. Clusters keep their numbers: they are matched to the latest assignments of the training
    set. Each process has its own rows of the data; centroids are written in place.

    Args:
        n_init: restarts of k-means at the beginning of a phase; the paper has 20.
        every_n_steps: optimizer steps between two refreshes; None leaves the centroids to the optimizer.
        every_n_epochs: the same in epochs.

    Raises:
        InputError: an argument out of range.
    """

    def __init__(self, n_init: int, every_n_steps: int | None = None, every_n_epochs: int | None = None) -> None:
        if n_init < 1:
            raise InputError(f"n_init={n_init} must be at least 1; the DEC paper uses 20")
        super().__init__(every_n_steps, every_n_epochs)
        self.n_init = n_init

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        loader, head = training_loader(module), centroid_head(module)
        z = embed_owned(module, loader)
        result = kmeans(
            z,
            head.n_clusters,
            n_total=loader.n_samples,
            n_init=self.n_init,
            init="k-means++" if is_first else head.centroids,
            generator=torch.Generator().manual_seed(mix_seed(module.seed, module.global_step)),
        )
        centroids = result.centroids
        if module.assignments is not None:
            before = module.assignments.labels[owned_rows(loader.n_samples).to(z.device)]
            table = sum_(contingency_table(before, result.labels, head.n_clusters, head.n_clusters))
            centroids = centroids[match_clusters(table)]
        head.centroids.copy_(centroids)  # in place: the optimizer holds this very tensor
        broadcast_(head.centroids.data)  # the same on unlike processors, too
