"""K-means of data near both ends of the range of floating-point numbers, subnormal ones included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from lightning_dc.errors import InputError
from lightning_dc.kmeans import KMeans, MiniBatchKMeans, kmeans
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
    if spherical:
        torch.testing.assert_close(scaled.centroids, plain.centroids)
        assert scaled.inertia == pytest.approx(plain.inertia)
    else:
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


@pytest.mark.parametrize(("dtype", "exponent"), RANGE)
@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_estimators_follow_a_power_of_two(kind: Any, dtype: torch.dtype, exponent: int) -> None:
    x = groups()
    plain, scaled = kind(3, seed=1).fit(x.to(dtype)), kind(3, seed=1).fit(power(x, exponent, dtype))
    assert torch.equal(scaled.labels_, plain.labels_)
    assert scaled.n_iter_ == plain.n_iter_
    assert torch.equal(scaled.predict(power(x, exponent, dtype)), plain.labels_)
    stream = kind(3, init=scaled.cluster_centers_, n_init=1).fit(power(x, exponent, dtype))
    assert torch.equal(stream.labels_, plain.labels_)
    largest = 2.0**127 if dtype == torch.float32 else 2.0**1023
    if exponent < (120 if dtype == torch.float32 else 1016):  # distances exceed the coordinates
        distances = scaled.transform(power(x, exponent, dtype)).double()
        finest = math.ldexp(1.0, -149 if dtype == torch.float32 else -1074)
        expected = power(plain.transform(x).double(), exponent, torch.float64)
        torch.testing.assert_close(distances, expected, rtol=1e-5, atol=8 * finest)
        assert distances.max() < largest


@pytest.mark.parametrize(("dtype", "exponent"), RANGE)
def test_centroids_move_in_batches_of_any_scale(dtype: torch.dtype, exponent: int) -> None:
    x, init = groups(), torch.tensor([[40.0, 40.0, 40.0], [41.0, 40.0, 40.0], [40.0, 41.0, 40.0]])
    for method in ("fit",) if exponent == 1017 else ("fit", "partial_fit"):  # the sum over a batch would be infinite
        found = []
        for scale in (0, exponent):
            model = MiniBatchKMeans(3, init=power(init.double(), scale, dtype), batch_size=30)
            found.append(getattr(model, method)(power(x, scale, dtype)).labels_)
        assert torch.equal(found[0], found[1])


@pytest.mark.parametrize(("dtype", "exponent"), RANGE)
def test_data_and_centroids_of_other_magnitudes(dtype: torch.dtype, exponent: int) -> None:
    """Centroids of usual size label data of any size, and the other way round."""
    x, new = groups().to(dtype), power(groups()[:3], exponent, dtype)
    model = KMeans(3).fit(x)
    nearest = torch.cdist(new.double(), model.cluster_centers_.double()) if abs(exponent) < 400 else None
    if nearest is not None:
        assert torch.equal(model.predict(new), nearest.argmin(1))
    if exponent > 0:
        model = KMeans(3).fit(power(groups(), exponent, dtype))
        assert len(set(model.predict(x[:2] * 0).tolist())) == 1
        assert torch.isfinite(model.transform(x[:2])).all() or exponent in (121, 1017)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tiny_row_beside_others_has_a_direction(dtype: torch.dtype) -> None:
    x = torch.eye(3, dtype=dtype).repeat(4, 1) + 0.01
    x[0] *= 1e-36 if dtype == torch.float32 else 1e-300
    model = KMeans(3, spherical=True).fit(x)
    assert model.labels_[0] == model.labels_[3]
    torch.testing.assert_close(model.transform(x)[0], model.transform(x)[3])
    for method in ("fit", "predict", "transform", "score"):
        with pytest.raises(InputError, match="1 samples are zero and have no direction"):
            getattr(model, method)(torch.cat([x, x[:1] * 0]))
