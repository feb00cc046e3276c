"""K-means on the inputs of a run, as plain as it can be."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dc.distributed import broadcast_, failing_together, sum_
from lightning_dc.functional import contingency_table, match_clusters, nearest_centroids
from lightning_dc.kmeans import kmeans
from lightning_dc.randomness import mix_seed
from lightning_dc.training import ClusteringModule, read_owned, training_loader

_MOST_PRODUCTS = 1 << 28  # of the samples that choose centroids, their inputs, and clusters
_LEAST_CLUSTERS = 4  # that this counts, so that no more than 2^26 numbers are held


def draw_rows(module: ClusteringModule, n_rows: int) -> Tensor:
    """Draw rows of the training set by the seed of the run, and return at most ``n_rows`` of them, ascending."""
    generator = torch.Generator().manual_seed(mix_seed(module.state.seed))
    return torch.randperm(training_loader(module).n_samples, generator=generator)[:n_rows].sort().values


def flat_inputs(module: ClusteringModule, rows: Tensor) -> Tensor:
    """Return the inputs of some samples as the network reads them, flattened, (n, F), float32 at least, in memory."""
    return training_loader(module).take(rows).x.flatten(1).to(module.model.wide_dtype).cpu()


def baseline_labels(module: ClusteringModule, n_init: int, n_samples: int) -> Tensor:
    """Cluster the inputs of the training set by k-means, on all processes together.

    Random rows choose the centroids on the first process: at most ``n_samples`` of them, and fewer if rows times inputs
    times clusters would exceed 2^28. Every process then assigns the chunks that it owns, so no process holds the
    inputs of all samples, and the result does not depend on the number of processes. Clusters have the numbers of the
    run's latest assignments where possible.

    Args:
        module: the trained method, with its data.
        n_init: restarts of k-means.
        n_samples: largest number of samples that choose the centroids.

    Returns:
        Cluster of each training sample, (N,), int64, in main memory.

    Raises:
        Exception: k-means or the reading of samples has failed on some process; all processes then raise.
    """
    loader, n_clusters = training_loader(module), module.model.head.n_clusters
    n_inputs, dtype = math.prod(module.model.input_shape), module.model.wide_dtype
    affordable = _MOST_PRODUCTS // (n_inputs * max(n_clusters, _LEAST_CLUSTERS))
    centroids = torch.zeros(n_clusters, n_inputs, dtype=dtype, device=module.device)
    with failing_together():
        if module.trainer.is_global_zero:
            x = flat_inputs(module, draw_rows(module, max(min(n_samples, affordable), 10 * n_clusters)))
            generator = torch.Generator().manual_seed(mix_seed(module.state.seed))
            found = kmeans(x.to(module.device), n_clusters, n_init=n_init, generator=generator)
            centroids.copy_(found.centroids)
    broadcast_(centroids)
    labels = torch.zeros(loader.n_samples, dtype=torch.int64, device=module.device)
    with failing_together():
        for rows, batch in read_owned(module, loader):
            labels[rows] = nearest_centroids(batch.x.flatten(1).to(dtype), centroids)
    return _as_the_run_numbers_them(module, sum_(labels).cpu())


def _as_the_run_numbers_them(module: ClusteringModule, labels: Tensor) -> Tensor:
    n_clusters, latest = module.model.head.n_clusters, module.state.assignments
    if latest is None:
        return labels
    table = contingency_table(latest.labels.cpu(), labels, n_clusters, n_clusters)
    return match_clusters(table).argsort()[labels]
