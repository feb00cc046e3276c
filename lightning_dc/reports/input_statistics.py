"""Sums of the inputs over each cluster."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.distributed import owned_chunks, sum_

_CONVERTED_NUMBERS = 1 << 21  # numbers that are converted to float64 at a time


class InputStatistics(NamedTuple):
    """Sums of the inputs of each cluster, scaled as the model sees them.

    Attributes:
        sizes: number of samples of each cluster, (K,), float64.
        sums: sum over the samples of each cluster of the inputs minus ``origin``, (K, F), float64.
        squares: sum over the samples of each cluster of the squares of these differences, (K, F), float64.
        origin: one of the samples, (F,), float64; it keeps precision for inputs that are far from 0.
    """

    sizes: Tensor
    sums: Tensor
    squares: Tensor
    origin: Tensor

    @property
    def means(self) -> Tensor:
        """Mean of each input in each cluster, (K, F); NaN in a cluster without samples."""
        return self.origin + self.sums / self.sizes[:, None]

    @property
    def means_of_rest(self) -> Tensor:
        """Mean of each input in all other samples, (K, F); NaN where there are none."""
        return self.origin + (self.sums.sum(0) - self.sums) / (self.sizes.sum() - self.sizes)[:, None]

    @property
    def mean(self) -> Tensor:
        """Mean of each input in all samples, (F,)."""
        return self.origin + self.sums.sum(0) / self.sizes.sum()

    def cpu(self) -> InputStatistics:
        """Return the statistics in main memory."""
        return InputStatistics(*(table.cpu() for table in self))

    @property
    def deviation(self) -> Tensor:
        """Standard deviation of each input in all samples, (F,)."""
        n = self.sizes.sum()
        return (self.squares.sum(0) / n - (self.sums.sum(0) / n).square()).clamp_min(0.0).sqrt()


@torch.no_grad()
def input_statistics(loader: SampleLoader, labels: Tensor, n_clusters: int, n_inputs: int) -> InputStatistics:
    """Sum the inputs over each cluster.

    Each process reads the chunks of samples that it owns once; sparse samples are made dense one chunk at a time. The
    sums of all processes are added up on the device of the labels.

    Args:
        loader: the data.
        labels: cluster of each sample, (N,).
        n_clusters: number of clusters K.
        n_inputs: number of inputs F.
    """
    sums = torch.zeros(2, n_clusters, n_inputs, dtype=torch.float64, device=labels.device)
    origin = loader.read(0, 1).x.flatten().double()  # the same on every process
    n_rows = max(_CONVERTED_NUMBERS // n_inputs, 1)
    for rows in owned_chunks(loader.n_samples):
        x = loader.read(rows.start, rows.stop).x.flatten(1)
        for part, own in zip(torch.split(x, n_rows), torch.split(labels[rows], n_rows), strict=True):
            wide = part.double() - origin
            members = torch.nn.functional.one_hot(own.to(x.device, torch.int64), n_clusters).to(wide).T
            sums += torch.stack([members @ wide, members @ wide.square()]).to(sums.device)
    sums = sum_(sums)  # on the device of the labels: NCCL cannot sum tensors in main memory
    sizes = torch.bincount(labels, minlength=n_clusters).double()
    return InputStatistics(sizes, sums[0], sums[1], origin.to(sums.device))
