"""Tests of the head of k-means against scipy's distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from lightning_dc.errors import InputError
from lightning_dc.heads import NearestCentroidHead


def head_of(centroids: Tensor) -> NearestCentroidHead:
    head = NearestCentroidHead(*centroids.shape).to(centroids.dtype)
    with torch.no_grad():
        head.centroids.copy_(centroids)
    return head


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def nearest(z: Tensor, centroids: Tensor) -> np.ndarray:
    return cdist(z.double().numpy(), centroids.double().numpy()).argmin(1)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.float64, torch.float64), (torch.float32, torch.float32), (torch.bfloat16, torch.float32)],
)
def test_each_row_is_one_for_the_nearest_centroid(dtype: torch.dtype, expected: torch.dtype) -> None:
    z, centroids = random(200, 3).to(dtype), random(5, 3, seed=1).float()
    q = head_of(centroids)(z)
    assert q.dtype == expected
    np.testing.assert_array_equal(q.numpy(), np.eye(5)[nearest(z, centroids)])
    assert (q.sum(0) > 0).all()


def test_a_tie_goes_to_the_lower_number() -> None:
    head = head_of(torch.tensor([[9.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [9.0, 0.0]]))
    z = torch.tensor([[0.0, 0.0], [2.0, -2.0], [9.0, 1.0], [-1.0, -1.0]])
    assert head(z).argmax(1).tolist() == [1, 2, 0, 3]


def test_autocast_does_not_lower_the_precision() -> None:
    centroids = torch.tensor([[100.0, 100.0], [100.2, 100.2]])  # equal in bfloat16
    z = torch.tensor([[100.15, 100.15], [100.05, 100.05]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q = head_of(centroids)(z)
    assert q.dtype == torch.float32
    assert q.argmax(1).tolist() == [1, 0]


def test_far_from_the_origin_the_same_centroids_are_the_nearest() -> None:
    z, centroids = (random(300, 3) * 64).round() / 64, (random(6, 3, seed=1) * 64).round() / 64
    expected = nearest(z, centroids)
    far, far_centroids = z.float() + 4096, centroids.float() + 4096  # exact in float32, where their squares are not
    assert torch.equal(far.double() - 4096, z)
    assert head_of(far_centroids)(far).argmax(1).tolist() == expected.tolist()
    products = (far_centroids.square().sum(1) - 2 * far @ far_centroids.T).argmin(1)
    assert products.tolist() != expected.tolist()  # the result of an expansion into products


def test_no_gradient_flows_through_it() -> None:
    z = random(4, 3).requires_grad_()
    head = head_of(random(5, 3, seed=1))
    assert not head(z).requires_grad
    assert [name for name, _ in head.named_parameters()] == ["centroids"]


def test_fewer_than_two_clusters_are_refused() -> None:
    with pytest.raises(InputError, match="n_clusters=1 must be at least 2"):
        NearestCentroidHead(1, 2)
