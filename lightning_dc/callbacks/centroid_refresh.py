"""Refresh of the centroids by k-means."""

from __future__ import annotations

import copy
from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import CHUNK_SIZE, owned_rows, sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import contingency_table, match_clusters
from lightning_dc.heads import ClusteringHead, centroid_head
from lightning_dc.kmeans import MiniBatchKMeans, kmeans
from lightning_dc.randomness import mix_seed
from lightning_dc.training import (
    LARGE_TABLE,
    ClusteringModule,
    HeadFit,
    embed_chunks,
    embed_owned,
    place_centroids,
    sample_chunks,
    training_loader,
)

KMeansName = Literal["auto", "exact", "mini_batch"]
_MOST_CHUNKS = 16  # chunks whose rows are shuffled together


class CentroidRefresh(Refresh, HeadFit):
    """Callback that sets the centroids by k-means over the embeddings of the whole training set.

    K-means runs with ``n_init`` restarts at the beginning of a phase that needs centroids, as in DEC
    (https://arxiv.org/abs/1511.06335, section 3.1.3). If an interval is given, it then runs every n steps or epochs,
    starting from the present centroids. Clusters keep their numbers, since they are matched to the latest assignments
    of the training set. Each process clusters its own rows of the data; centroids are written in place.

    Mini-batch k-means never holds all embeddings. Exact k-means with ``n_init`` restarts on random chunks of the data
    gives the centroids to start from. One pass over all data then moves them (Sculley 2010), in random order of the
    chunks and of the rows within a few chunks. Its result does not depend on the number of processes.

    Args:
        n_init: restarts of k-means at the beginning of a phase; the paper uses 20.
        every_n_steps: optimizer steps between two refreshes; with both None, k-means runs only at the beginning of a
            phase.
        every_n_epochs: epochs between two refreshes, instead of ``every_n_steps``.
        kmeans: ``exact`` or ``mini_batch``; ``auto`` is exact as long as the embeddings have at most 2^26 numbers.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        n_init: int,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        kmeans: KMeansName = "auto",
    ) -> None:
        if n_init < 1:
            raise InputError(f"n_init={n_init} must be at least 1; the DEC paper uses 20")
        if kmeans not in get_args(KMeansName):
            raise InputError(f"kmeans={kmeans!r} is unknown; choose from {', '.join(get_args(KMeansName))}")
        super().__init__(every_n_steps, every_n_epochs)
        self.n_init = n_init
        self.kmeans = kmeans

    def applies(self, module: ClusteringModule) -> bool:
        return module.phase.initializes_centroids

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        loader, head = training_loader(module), centroid_head(module.model.head)
        is_large = loader.n_samples * head.latent_dim > LARGE_TABLE
        in_batches = self.kmeans == "mini_batch" or (self.kmeans == "auto" and is_large)
        run = self._run_mini_batch if in_batches else self._run_exact
        init = None if is_first else head.centroids
        generator = torch.Generator().manual_seed(mix_seed(module.state.seed, module.global_step))
        centroids, table = run(module, loader, init, generator)
        if table is not None:
            centroids = centroids[match_clusters(table)]
        place_centroids(module, centroids)

    @torch.no_grad()
    def fit_copy(self, head: ClusteringHead, z: Tensor, generator: torch.Generator) -> ClusteringHead:
        copied = copy.deepcopy(centroid_head(head))
        found = kmeans(z, head.n_clusters, n_init=self.n_init, generator=generator)
        copied.centroids.copy_(found.centroids)
        return copied

    def _run_exact(
        self, module: ClusteringModule, loader: SampleLoader, init: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Return centroids, (K, D), and a table of earlier against new assignments, (K, K), or None without earlier."""
        n_clusters = module.model.head.n_clusters
        result = kmeans(
            embed_owned(module, loader),
            n_clusters,
            n_total=loader.n_samples,
            n_init=self.n_init,
            init="k-means++" if init is None else init,
            generator=generator,
        )
        if module.state.assignments is None:
            return result.centroids, None
        before = module.state.assignments.labels[owned_rows(loader.n_samples).to(result.labels.device)]
        return result.centroids, sum_(contingency_table(before, result.labels, n_clusters, n_clusters))

    def _run_mini_batch(
        self, module: ClusteringModule, loader: SampleLoader, init: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Do the same as `_run_exact` without holding all embeddings; each process does all steps on shared chunks."""
        n_clusters, n_samples = module.model.head.n_clusters, loader.n_samples
        if init is None:
            sample = sample_chunks(n_samples, module.model.head.latent_dim, n_clusters, generator)
            z = embed_chunks(module, loader, sample)[1]
            init = kmeans(z, n_clusters, n_init=self.n_init, generator=generator).centroids
            del z
        estimator = MiniBatchKMeans(n_clusters, init=init)
        order = torch.randperm(-(-n_samples // CHUNK_SIZE), generator=generator)
        n_together = max(1, min(_MOST_CHUNKS, LARGE_TABLE // 4 // (CHUNK_SIZE * module.model.head.latent_dim)))
        before = None if module.state.assignments is None else module.state.assignments.labels
        table = torch.zeros(n_clusters, n_clusters, dtype=torch.int64)
        for chunks in torch.split(order, n_together):
            rows, z = embed_chunks(module, loader, chunks.tolist())
            mixed = torch.randperm(len(z), generator=generator).to(z.device)
            for part in torch.split(mixed, CHUNK_SIZE):
                labels = estimator.partial_fit(z[part]).labels_
                if before is not None:
                    table += contingency_table(before[rows[part]], labels, n_clusters, n_clusters).to(table.device)
        return estimator.cluster_centers_, None if before is None else table
