"""K-means of data near both ends of the range of floating-point numbers, subnormal ones included."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lightning_dc.kmeans import kmeans
from tests.helpers.points import seeded

RANGE = [
    *((torch.float32, e) for e in (-142, -130, -127, -60, 60, 121)),
    *((torch.float64, e) for e in (-1066, -1021, -700, 700, 1017)),
]


def groups() -> torch.Tensor:
    """Draw 90 points of small integers around three centers, (90, 3), float64, which scales of two leave exact."""
    points = torch.randint(-3, 4, (90, 3), generator=seeded()) + torch.tensor([[40], [-40], [0]]).repeat_interleave(
        30, 0
    )
    return points.double()


def power(x: torch.Tensor, exponent: int, dtype: torch.dtype) -> torch.Tensor:
    """Multiply by a power of two that is too large or too small to be a number itself."""
    return torch.from_numpy(np.ldexp(x.numpy(), exponent)).to(dtype)


@pytest.mark.parametrize(("dtype", "exponent"), RANGE)
@pytest.mark.parametrize("spherical", [False, True])
def test_a_power_of_two_changes_no_label(dtype: torch.dtype, exponent: int, spherical: bool) -> None:
    x = groups() + (torch.tensor([0.0, 20.0, 0.0]) if spherical else 0.0)
    plain = kmeans(x.to(dtype), 3, n_init=3, spherical=spherical, generator=seeded(1))
    scaled = kmeans(power(x, exponent, dtype), 3, n_init=3, spherical=spherical, generator=seeded(1))
    assert torch.equal(scaled.labels, plain.labels)
    if not spherical:
        expected = power(plain.centroids.double(), exponent, torch.float64)
        finest = math.ldexp(1.0, -149 if dtype == torch.float32 else -1074)
        torch.testing.assert_close(scaled.centroids.double(), expected, rtol=1e-6, atol=finest)


@pytest.mark.parametrize(("dtype", "exponent"), RANGE)
def test_given_centroids_may_be_subnormal_or_huge(dtype: torch.dtype, exponent: int) -> None:
    x = groups()
    scaled = power(x, exponent, dtype)
    result = kmeans(scaled, 3, init=scaled[[0, 30, 60]])
    assert torch.equal(result.labels, torch.arange(3).repeat_interleave(30))


@pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 1e30), (torch.float64, 1e200)])
def test_a_centroid_far_beyond_the_data_hides_no_other(dtype: torch.dtype, far: float) -> None:
    x = groups().to(dtype)
    init = torch.stack([torch.full((3,), far, dtype=dtype), x[0], x[30], x[60]])
    result = kmeans(x, 4, init=init, max_iter=0)
    assert torch.equal(result.labels, torch.arange(1, 4).repeat_interleave(30))
