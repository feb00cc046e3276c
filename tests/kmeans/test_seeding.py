"""Tests of seeds against scikit-learn's, and of the random draws that choose them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.cluster import kmeans_plusplus as sklearn_kmeans_plusplus
from sklearn.datasets import make_blobs

from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.errors import InputError
from lightning_dc.kmeans import kmeans, kmeans_plusplus
from lightning_dc.kmeans.owned_samples import prepare
from lightning_dc.kmeans.seeding import random_seeds
from tests.helpers.points import seeded, uniform


def test_seeds_are_distinct_samples() -> None:
    x = torch.from_numpy(uniform()[:40])
    seeds = kmeans_plusplus(x, 10, n_init=7, generator=seeded())
    assert seeds.shape == (7, 10, 3)
    for restart in seeds:
        distance, row = torch.cdist(restart, x, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        assert distance.max() < 1e-6
        assert len(row.unique()) == 10


def test_seeding_finds_every_separated_blob() -> None:
    x, y = make_blobs(120, 2, centers=[[0, 0], [1e3, 0], [0, 1e3], [1e3, 1e3]], random_state=0)
    seeds = kmeans_plusplus(torch.from_numpy(x), 4, n_init=10, generator=seeded())
    for restart in seeds.numpy():
        assert {int(y[np.where((x == seed).all(1))[0][0]]) for seed in restart} == {0, 1, 2, 3}


def test_seeds_are_as_good_as_sklearns_greedy_ones() -> None:
    x = uniform().astype(np.float64)
    seeds = kmeans_plusplus(torch.from_numpy(x), 12, n_init=60, generator=seeded()).numpy()
    ours = np.mean([cdist(x, own, "sqeuclidean").min(1).sum() for own in seeds])
    theirs, of_one_candidate = (
        np.mean(
            [
                cdist(x, sklearn_kmeans_plusplus(x, 12, random_state=i, n_local_trials=n)[0], "sqeuclidean")
                .min(1)
                .sum()
                for i in range(60)
            ]
        )
        for n in (None, 1)
    )
    assert ours == pytest.approx(theirs, rel=0.02)
    assert ours < 0.97 * of_one_candidate


@pytest.mark.parametrize("n_features", [4, 30])
def test_small_distances_far_from_the_origin_count(n_features: int) -> None:
    """Two groups are so far apart that a float32 product cannot tell the blobs within a group apart."""
    generator = seeded(0)
    centers = torch.randn(20, n_features, generator=generator)
    centers[:10], centers[10:] = centers[:10] + 1000, centers[10:] - 1000
    x = centers.repeat(30, 1) + 0.05 * torch.randn(600, n_features, generator=generator)
    potentials = []
    for dtype in (torch.float32, torch.float64):
        seeds = kmeans_plusplus(x.to(dtype), 20, n_init=40, generator=seeded(1))
        potentials.append(np.mean([cdist(x, own, "sqeuclidean").min(1).sum() for own in seeds.double().numpy()]))
    assert potentials[0] == pytest.approx(potentials[1], rel=0.02)


def test_random_seeds_are_distinct_samples() -> None:
    x = torch.arange(50.0).unsqueeze(1)
    samples = prepare(x, None, None, spherical=False)
    seeds = samples.restore(random_seeds(samples, 50, 3, seeded()))
    for restart in seeds[:, :, 0]:
        assert sorted(restart.round().tolist()) == list(range(50))
    assert not torch.equal(seeds[0], seeds[1])


def test_random_seeds_follow_the_weights() -> None:
    x = torch.arange(3 * CHUNK_SIZE).unsqueeze(1).float()
    weights = torch.zeros(len(x))
    weights[[5, CHUNK_SIZE + 1, 3 * CHUNK_SIZE - 1]] = torch.tensor([1.0, 2.0, 5.0])
    samples = prepare(x, weights, None, spherical=False)
    seeds = samples.restore(random_seeds(samples, 1, 4000, seeded()))[:, 0, 0].round().long()
    shares = torch.bincount(seeds, minlength=len(x)) / 4000
    torch.testing.assert_close(shares, weights / 8, rtol=0, atol=0.03)


def test_seeds_are_drawn_by_squared_distance() -> None:
    """All samples are at 0 except for two, in other chunks, at the distances 1 and 3."""
    x = torch.zeros(3 * CHUNK_SIZE, 1)
    x[CHUNK_SIZE + 7], x[2 * CHUNK_SIZE + 9] = 1.0, -3.0
    seeds = kmeans_plusplus(x, 2, n_init=500, generator=seeded())
    assert {round(value) for value in seeds[:, 0, 0].tolist()} <= {0, 1, -3}
    shares = [(seeds[:, 1, 0].round() == value).double().mean().item() for value in (1, -3)]
    assert shares == pytest.approx([0.01, 0.99], abs=0.03)  # 0.1 squared, as the better of two candidates is taken


def test_samples_of_zero_weight_are_never_seeds() -> None:
    x = torch.from_numpy(uniform())
    weights = torch.zeros(len(x))
    weights[:30] = 1.0
    seeds = kmeans_plusplus(x, 8, n_init=20, sample_weight=weights, generator=seeded())
    assert (torch.cdist(seeds.flatten(0, 1), x[:30]).amin(1) < 1e-3).all()


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_default_generator_is_seeded_and_global_state_untouched(init: str) -> None:
    x = torch.from_numpy(uniform())
    state = torch.get_rng_state()
    first, second = (kmeans(x, 5, n_init=2, init=init).centroids for _ in range(2))  # type: ignore[arg-type]
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_of_equal_samples() -> None:
    seeds = kmeans_plusplus(torch.ones(20, 2), 3, n_init=4, generator=seeded())
    assert torch.equal(seeds, torch.ones(4, 3, 2))


def test_no_weight_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="all sample_weight are zero"):
        kmeans_plusplus(torch.rand(5, 2), 2, sample_weight=torch.zeros(5))


@pytest.mark.parametrize("arguments", [{"n_clusters": 0}, {"n_clusters": 6}, {"n_clusters": 2, "n_init": 0}])
def test_arguments_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"n_clusters=[06] .* the 5 samples|n_init=0"):
        kmeans_plusplus(torch.rand(5, 2), **arguments)
