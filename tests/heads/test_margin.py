"""Tests of the margins of heads."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lightning_dc.heads import ClusteringHead, GaussianMixtureHead, NearestCentroidHead, PrototypeHead, StudentTHead

Z = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 3))).float()
POINTS = np.random.default_rng(1).normal(size=(5, 3))


def margin(head: ClusteringHead) -> Tensor:
    with torch.no_grad():
        return head.margin(Z, head(Z))


def test_the_margin_of_k_means_compares_the_two_nearest_centroids() -> None:
    head = NearestCentroidHead(5, 3)
    head.centroids.data.copy_(torch.from_numpy(POINTS))
    distances = np.sort(np.linalg.norm(Z.numpy()[:, None] - POINTS, axis=2), axis=1)
    expected = (distances[:, 1] - distances[:, 0]) / (distances[:, 1] + distances[:, 0])
    np.testing.assert_allclose(margin(head), expected, rtol=1e-4, atol=1e-6)


def test_the_margin_of_prototypes_is_that_of_clusters() -> None:
    head, clusters = PrototypeHead(2, 3, 5), np.array([0, 0, 1, 0, 1])
    head.prototypes.data.copy_(torch.from_numpy(POINTS))
    head.clusters.copy_(torch.from_numpy(clusters))
    distances = np.linalg.norm(Z.numpy()[:, None] - POINTS, axis=2)
    first, second = np.sort([distances[:, clusters == k].min(1) for k in range(2)], axis=0)
    np.testing.assert_allclose(margin(head), (second - first) / (second + first), rtol=1e-4, atol=1e-6)


def test_the_margin_of_soft_heads_is_a_log_ratio() -> None:
    for head in (StudentTHead(5, 3), GaussianMixtureHead(5, 3)):
        head.centroids.data.copy_(torch.from_numpy(POINTS))
        q = np.sort(head(Z).detach().numpy(), axis=1)
        np.testing.assert_allclose(margin(head), np.log(q[:, -1] / q[:, -2]), rtol=1e-3, atol=1e-4)


def test_assignments_that_underflow_have_a_finite_margin() -> None:
    head = StudentTHead(2, 3)
    assert 80 < float(head.margin(Z[:1], torch.tensor([[1.0, 0.0]]))) < 100


def test_a_sample_at_two_equal_centroids_has_no_margin() -> None:
    head = NearestCentroidHead(2, 3)
    head.centroids.data.copy_(Z[:1].expand(2, 3))
    assert float(head.margin(Z[:1], head(Z[:1]))) == 0
