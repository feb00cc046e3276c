"""Tests of the k-means loss against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from lightning_dc import Batch, Identity, NearestCentroidHead, Phase, PhaseConfig
from lightning_dc.heads import centroid_head
from lightning_dc.losses import KMeansLoss
from lightning_dc.model import ClusteringModel
from lightning_dc.randomness import StepRandom
from lightning_dc.training import RunState, TrainingStep


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def step_of(z: Tensor, centroids: Tensor, trainable: tuple[str, ...]) -> TrainingStep:
    """Return a training step whose samples and embeddings are both ``z``."""
    head = NearestCentroidHead(*centroids.shape).double()
    with torch.no_grad():
        head.centroids.copy_(centroids)
    model = ClusteringModel(Identity((z.shape[1],)), head)
    batch, phase = Batch(z, None, torch.arange(len(z)), len(z)), Phase("clustering", PhaseConfig(), trainable)
    return TrainingStep(model, batch, phase, RunState(0), StepRandom(0, 0, len(z), z.device))


def loss_of(step: TrainingStep) -> Tensor:
    return KMeansLoss()(**step.read(KMeansLoss.quantities))


def test_loss_of_each_sample_is_the_squared_distance_to_the_nearest_centroid() -> None:
    z, centroids = random(9, 3), random(4, 3, seed=1)
    loss = KMeansLoss()(z=z, centroids=centroids)
    expected = cdist(z.numpy(), centroids.numpy(), "sqeuclidean").min(1)
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


def test_gradient_is_that_of_fixed_assignments_and_none_reaches_frozen_centroids() -> None:
    z, centroids = random(9, 3).requires_grad_(), random(4, 3, seed=1)
    step = step_of(z, centroids, ("encoder", "decoder"))
    loss_of(step).sum().backward()
    own = cdist(z.detach().numpy(), centroids.numpy()).argmin(1)
    np.testing.assert_allclose(z.grad.numpy(), 2 * (z.detach().numpy() - centroids.numpy()[own]), rtol=1e-12)
    assert centroid_head(step._model.head).centroids.grad is None


def test_centroids_get_a_gradient_where_the_head_trains() -> None:
    z, centroids = random(30, 3), random(4, 3, seed=1)
    step = step_of(z, centroids, ("encoder", "head"))
    loss_of(step).sum().backward()
    own = cdist(z.numpy(), centroids.numpy()).argmin(1)
    expected = [-2 * (z.numpy()[own == k] - centroids.numpy()[k]).sum(0) for k in range(4)]
    np.testing.assert_allclose(centroid_head(step._model.head).centroids.grad.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "expected"), [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64,) * 2]
)
def test_distances_are_float32_at_least(dtype: torch.dtype, expected: torch.dtype) -> None:
    z, centroids = random(50, 20).to(dtype), random(4, 20, seed=1).to(expected)
    loss = KMeansLoss()(z=z, centroids=centroids)
    assert loss.dtype == expected
    exact = cdist(z.double().numpy(), centroids.double().numpy(), "sqeuclidean").min(1)
    np.testing.assert_allclose(loss.numpy(), exact, rtol=1e-5)


def test_a_process_without_a_sample_of_the_last_batch_has_no_loss() -> None:
    loss = KMeansLoss()(z=torch.zeros(0, 3), centroids=torch.zeros(4, 3))
    assert loss.shape == (0,)
