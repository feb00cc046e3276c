"""Tests of the gaps between clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde
from torch import Tensor

from lightning_dc.reports.separation import separation


def normal(n: int, mean: float, seed: int, dim: int = 3, stretch: float = 1.0) -> Tensor:
    """Return samples of a normal distribution whose mean is on the first axis, and which is long on the second one."""
    z = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))
    z[:, 1] *= stretch
    z[:, 0] += mean
    return z


def labels_of(*sizes: int) -> Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


@pytest.mark.parametrize("sizes", [(500, 500), (900, 60)])
@pytest.mark.parametrize("stretch", [1.0, 8.0])
def test_clusters_with_a_gap_are_separated_whatever_their_sizes_and_shapes(
    sizes: tuple[int, int], stretch: float
) -> None:
    z = torch.cat([normal(sizes[0], 0, 0, stretch=stretch), normal(sizes[1], 6, 1, stretch=stretch)])
    assert separation(z, labels_of(*sizes)) > 0.7


@pytest.mark.parametrize("cut", [0.0, 1.0, 1.8])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_parts_of_a_cluster_have_no_gap_wherever_it_is_cut(cut: float, axis: int, seed: int) -> None:
    z = normal(1500, 0, seed, dim=8, stretch=5.0)
    assert separation(z, (z[:, axis] > cut * z[:, axis].std()).long()) < 0.1


def test_the_pair_that_is_separated_least_counts() -> None:
    z = torch.cat([normal(400, 0, 0), normal(400, 8, 1), normal(400, 30, 2)])
    labels = labels_of(400, 400, 400)
    assert separation(z, labels) > 0.9
    labels[(labels == 2) & (z[:, 2] > 0)] = 3
    assert separation(z, labels) < 0.1


def test_on_a_line_it_is_the_valley_of_a_kernel_estimate() -> None:
    random = np.random.default_rng(0)
    clusters = [random.normal(0, 1, 300), random.normal(3, 0.7, 200)]
    grid = np.linspace(clusters[0].mean(), clusters[1].mean(), 2001)
    # scipy scales the spread of n - 1 degrees of freedom by the factor that it is given.
    density = sum(
        len(t) * gaussian_kde(t, 1.06 * len(t) ** -0.2 * math.sqrt((len(t) - 1) / len(t)))(grid) for t in clusters
    )
    assert isinstance(density, np.ndarray)
    lowest = density.argmin()
    expected = 1 - density[lowest] / min(density[:lowest].max(), density[lowest:].max())
    found = separation(torch.from_numpy(np.concatenate(clusters))[:, None], labels_of(300, 200))
    assert found == pytest.approx(expected, abs=0.01)
    assert 0.3 < found < 0.9


def test_neither_unit_nor_numbers_of_clusters_matter() -> None:
    z = torch.cat([normal(300, 0, 0), normal(200, 3, 1)])
    found = separation(z, labels_of(300, 200))
    assert separation(1000 * z + 5, 7 - 3 * labels_of(300, 200)) == pytest.approx(found, abs=1e-4)


def test_few_and_equal_samples() -> None:
    z = normal(10, 0, 0)
    assert math.isnan(separation(z, torch.zeros(10)))
    assert separation(torch.tensor([[0.0], [0.0], [1.0]]), torch.tensor([0, 0, 1])) == 1.0
    assert 0 <= separation(z, labels_of(9, 1)) <= 1
