"""Tests of soft assignments against the formulas of the DEC paper, written out in float64 numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import entropy

from lightning_dc.functional import (
    assignment_entropy,
    size_statistics,
    soft_frequencies,
    squared_distances,
    student_t_assignment,
    target_distribution,
)


def naive_student_t(z: np.ndarray, centroids: np.ndarray, nu: float) -> np.ndarray:
    """Compute eq. 1 of the DEC paper, element by element."""
    q = np.empty((len(z), len(centroids)))
    for i, point in enumerate(z):
        for j, centroid in enumerate(centroids):
            q[i, j] = (1 + np.linalg.norm(point - centroid) ** 2 / nu) ** (-(nu + 1) / 2)
        q[i] /= sum(q[i])
    return q


def naive_target(q: np.ndarray) -> np.ndarray:
    """Compute eq. 3 of the DEC paper for a whole data set, element by element."""
    frequencies = [sum(q[:, j]) for j in range(q.shape[1])]
    p = np.empty_like(q)
    for i, row in enumerate(q):
        weights = [row[j] ** 2 / frequencies[j] for j in range(len(row))]
        p[i] = np.array(weights) / sum(weights)
    return p


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def random_assignments(random: np.random.Generator, n_samples: int, n_clusters: int) -> np.ndarray:
    return random.dirichlet(np.full(n_clusters, 0.3), n_samples)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_squared_distances_equal_scipys_even_far_from_the_origin(random: np.random.Generator, offset: float) -> None:
    z = (random.normal(size=(7, 3)) + offset).astype(np.float32)
    centroids = (random.normal(size=(4, 3)) + offset).astype(np.float32)
    expected = cdist(z.astype(np.float64), centroids.astype(np.float64), "sqeuclidean")
    actual = squared_distances(torch.from_numpy(z), torch.from_numpy(centroids))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("nu", [1.0, 2.5, 30.0])
def test_student_t_assignment_equals_equation_1(random: np.random.Generator, nu: float) -> None:
    z, centroids = random.normal(size=(11, 3)) * 4, random.normal(size=(5, 3)) * 4
    actual = student_t_assignment(torch.from_numpy(z), torch.from_numpy(centroids), nu)
    np.testing.assert_allclose(actual.numpy(), naive_student_t(z, centroids, nu), rtol=1e-11)


def test_student_t_assignment_uses_one_degree_of_freedom_unless_told(random: np.random.Generator) -> None:
    z, centroids = random.normal(size=(6, 2)), random.normal(size=(3, 2))
    actual = student_t_assignment(torch.from_numpy(z), torch.from_numpy(centroids))
    np.testing.assert_allclose(actual.numpy(), naive_student_t(z, centroids, 1.0), rtol=1e-11)


@pytest.mark.parametrize(("nu", "distance"), [(1.0, 1e8), (100.0, 1e3), (1000.0, 1e2)])
def test_student_t_assignment_stays_a_distribution_far_from_every_centroid(nu: float, distance: float) -> None:
    z = torch.full((1, 2), distance)
    centroids = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    actual = student_t_assignment(z, centroids, nu)
    logarithms = -(nu + 1) / 2 * np.log1p(cdist(z.double(), centroids.double(), "sqeuclidean") / nu)
    weights = np.exp(logarithms - logarithms.max())
    np.testing.assert_allclose(actual.numpy(), weights / weights.sum(), rtol=1e-3)


@pytest.mark.parametrize("nu", [1.0, 2.5])
def test_student_t_assignment_has_the_numerical_gradient(nu: float) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    centroids = torch.randn(3, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, c: student_t_assignment(z, c, nu), (z, centroids))


def test_soft_frequencies_add_up_in_float64() -> None:
    q = torch.full((20_000, 2), 0.1, dtype=torch.float32)
    actual = soft_frequencies(q)
    assert actual.dtype == torch.float64
    np.testing.assert_allclose(actual.numpy(), q.numpy().astype(np.float64).sum(0), rtol=1e-13)


def test_target_distribution_equals_equation_3(random: np.random.Generator) -> None:
    q = random_assignments(random, 13, 4)
    actual = target_distribution(torch.from_numpy(q), soft_frequencies(torch.from_numpy(q)))
    np.testing.assert_allclose(actual.numpy(), naive_target(q), rtol=1e-11)


def test_target_distribution_of_batches_is_that_of_the_whole_set(random: np.random.Generator) -> None:
    q = random_assignments(random, 12, 3)
    frequencies = soft_frequencies(torch.from_numpy(q))
    batches = [target_distribution(batch, frequencies) for batch in torch.from_numpy(q).split(5)]
    np.testing.assert_allclose(torch.cat(batches).numpy(), naive_target(q), rtol=1e-11)
    of_first_batch = target_distribution(torch.from_numpy(q[:5]), soft_frequencies(torch.from_numpy(q[:5])))
    assert not np.allclose(of_first_batch.numpy(), naive_target(q)[:5], rtol=1e-3)


def test_target_distribution_keeps_float32_and_bears_an_empty_cluster() -> None:
    q = torch.tensor([[0.3, 0.7, 0.0], [0.9, 0.1, 0.0]])
    actual = target_distribution(q, soft_frequencies(q))
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual[:, :2].numpy(), naive_target(q[:, :2].double().numpy()), rtol=1e-5)
    assert actual[:, 2].tolist() == [0.0, 0.0]


def test_assignment_entropy_equals_scipys_mean(random: np.random.Generator) -> None:
    q = random_assignments(random, 9, 5)
    q[0] = [1, 0, 0, 0, 0]
    actual = assignment_entropy(torch.from_numpy(q))
    assert actual.dtype == torch.float64
    assert float(actual) == pytest.approx(entropy(q, axis=1).mean(), rel=1e-12)


def test_assignment_entropy_is_between_zero_and_log_k() -> None:
    assert float(assignment_entropy(torch.eye(4))) == 0.0
    assert float(assignment_entropy(torch.full((3, 4), 0.25))) == pytest.approx(np.log(4), rel=1e-12)


def test_size_statistics_equal_numpys(random: np.random.Generator) -> None:
    sizes = random.integers(0, 50, size=12)
    sizes[[3, 7]] = 0
    shares = sizes / sizes.sum()
    assert size_statistics(torch.from_numpy(sizes)) == pytest.approx(
        {"smallest": shares.min(), "largest": shares.max(), "empty": np.count_nonzero(sizes == 0)}
    )


def test_size_statistics_of_nothing_are_zero() -> None:
    assert size_statistics(torch.zeros(3, dtype=torch.int64)) == {"smallest": 0.0, "largest": 0.0, "empty": 3.0}
