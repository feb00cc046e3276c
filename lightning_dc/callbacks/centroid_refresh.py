"""Centroids from k-means."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import CHUNK_SIZE, broadcast_, owned_rows, sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import contingency_table, match_clusters
from lightning_dc.heads import centroid_head
from lightning_dc.kmeans import MiniBatchKMeans, kmeans
from lightning_dc.randomness import mix_seed
from lightning_dc.training import (
    LARGE_TABLE,
    ClusteringModule,
    embed_chunks,
    embed_owned,
    sample_chunks,
    training_loader,
)

KMeansName = Literal["auto", "exact", "mini_batch"]
_MOST_CHUNKS = 16  # whose rows are mixed


class CentroidRefresh(Refresh):
    """K-means over the embeddings of the whole training set sets the centroids.

    It runs with ``n_init`` restarts when a phase begins that asks for centroids, as in DEC
    (https://arxiv.org/abs/1511.06335, section 3.1.3), and then, if an interval is given, every n steps or epochs from
    the centroids as they are. Clusters keep their numbers: they are matched to the latest assignments of the training
    set. Each process has its own rows of the data; centroids are written in place.

    Mini-batch k-means never holds the embeddings: exact k-means with ``n_init`` restarts on random chunks of the data
    gives centroids to start from, then one pass over all of it, in random order of chunks and of rows within a few
    chunks, moves them (Sculley 2010). It does not depend on the number of processes.

    Args:
        n_init: restarts of k-means at the beginning of a phase; the paper has 20.
        every_n_steps: optimizer steps between two refreshes; None leaves the centroids to the optimizer.
        every_n_epochs: the same in epochs.
        kmeans: ``exact`` or ``mini_batch``; ``auto`` is exact as long as the embeddings have at most 2^26 numbers.

    Raises:
        InputError: an argument out of range.
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
        run = self._mini_batch if in_batches else self._exact
        init = None if is_first else head.centroids
        generator = torch.Generator().manual_seed(mix_seed(module.state.seed, module.global_step))
        centroids, table = run(module, loader, init, generator)
        if table is not None:
            centroids = centroids[match_clusters(table)]
        head.centroids.copy_(centroids)  # in place: the optimizer holds this very tensor
        broadcast_(head.centroids.data)  # the same on unlike processors, too

    def _exact(
        self, module: ClusteringModule, loader: SampleLoader, init: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Centroids, (K, D), and a table of the assignments before and after, (K, K)."""
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

    def _mini_batch(
        self, module: ClusteringModule, loader: SampleLoader, init: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Like `_exact`, but the embeddings are never held at once; each process does all steps on shared chunks."""
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
