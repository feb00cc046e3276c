"""What the samples of a cluster have more of than the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.distributed import owned_chunks, sum_


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


@torch.no_grad()
def top_terms(
    loader: SampleLoader, labels: Tensor, n_clusters: int, names: Sequence[str], n_terms: int
) -> list[TopTerm]:
    """Features with the largest difference of means, in the cluster minus in all other samples.

    It reads the samples once, in the chunks that this process owns; only a chunk of sparse samples is dense. Processes
    add up their sums on the device of the labels.

    Args:
        loader: the data.
        labels: cluster of each sample, (N,).
        n_clusters: number of clusters K.
        names: name of each feature, (F,).
        n_terms: most terms of a cluster; features that are not more frequent in it than in the rest are none.

    Returns:
        Terms by cluster and rank; none for a cluster without samples, or with all of them.

    Example:
        >>> from datamodules import ArrayDataModule
        >>> data = ArrayDataModule(torch.tensor([[1.0, 0.0], [1.0, 0.5], [0.0, 2.0]]), scaling="none")
        >>> terms = top_terms(data.train_dataloader(), torch.tensor([0, 0, 1]), 2, ["oil", "grain"], 1)
        >>> [(term.cluster, term.term) for term in terms]
        [(0, 'oil'), (1, 'grain')]
    """
    device, labels = labels.device, labels.to("cpu", torch.int64)
    sums = torch.zeros(n_clusters, len(names), dtype=torch.float64)
    for rows in owned_chunks(loader.n_samples):
        x = loader.read(rows.start, rows.stop).x.flatten(1).cpu()
        members = torch.nn.functional.one_hot(labels[rows], n_clusters).to(x.dtype)
        sums += (members.T @ x).double()
    sums = sum_(sums.to(device)).cpu()  # NCCL has no sums of tensors in main memory
    sizes = torch.bincount(labels, minlength=n_clusters).double().unsqueeze(1)
    others = len(labels) - sizes
    means, rest = sums / sizes, (sums.sum(0) - sums) / others
    found = []
    for k in range(n_clusters):
        if sizes[k] == 0 or others[k] == 0:
            continue
        difference = means[k] - rest[k]
        for rank, j in enumerate(difference.argsort(descending=True, stable=True)[:n_terms].tolist(), 1):
            if difference[j] > 0:
                found.append(TopTerm(k, rank, names[j], float(means[k, j]), float(rest[k, j])))
    return found
