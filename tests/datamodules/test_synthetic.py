"""Tests of Gaussian clusters whose true parameters the test can estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.feature_selection import f_classif
from sklearn.metrics import adjusted_rand_score

from datamodules import SyntheticDataModule
from lightning_dc.errors import InputError


def test_shape_is_as_asked() -> None:
    data = SyntheticDataModule(n_samples=50, n_features=7, n_informative=3, n_clusters=5)
    x, y = data.load()[:2]
    assert x.shape == (50, 7)
    assert y.shape == (50,)
    assert data.input_shape == (7,)


@pytest.mark.parametrize(("n_samples", "n_clusters"), [(50, 4), (7, 7), (9, 2)])
def test_sizes_differ_by_at_most_one(n_samples: int, n_clusters: int) -> None:
    data = SyntheticDataModule(n_samples=n_samples, n_clusters=n_clusters)
    sizes = np.bincount(data.load().y, minlength=n_clusters)
    assert len(sizes) == n_clusters
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1


def test_informative_features_come_first() -> None:
    x, y = SyntheticDataModule(n_samples=500, n_features=12, n_informative=4, separation=3.0).load()[:2]
    _, p_values = f_classif(x, y)
    assert (p_values[:4] < 1e-10).all()
    assert (p_values[4:] > 1e-4).all()


def test_noise_is_of_unit_variance_within_clusters() -> None:
    x, y = SyntheticDataModule(n_samples=4000, n_features=8, n_informative=4).load()[:2]
    for k in range(4):
        np.testing.assert_allclose(x[y == k].std(0), 1.0, atol=0.1)
        np.testing.assert_allclose(x[y == k][:, 4:].mean(0), 0.0, atol=0.15)


def test_centres_spread_with_the_separation() -> None:
    x, y = SyntheticDataModule(n_samples=3000, n_features=30, n_informative=30, n_clusters=30, separation=7.0).load()[
        :2
    ]
    centres = np.stack([x[y == k].mean(0) for k in range(30)])
    assert centres.std() == pytest.approx(7.0, rel=0.1)


def test_separated_clusters_are_found_by_sklearn() -> None:
    x, y = SyntheticDataModule(n_samples=300, separation=8.0).load()[:2]
    assert adjusted_rand_score(y, KMeans(4, n_init=10, random_state=0).fit_predict(x)) == pytest.approx(1.0)


def test_clusters_without_separation_can_not_be_told_apart() -> None:
    x, y = SyntheticDataModule(n_samples=500, separation=0.0).load()[:2]
    assert (f_classif(x, y)[1] > 1e-4).all()


def test_samples_depend_on_the_random_state_alone() -> None:
    first = SyntheticDataModule(random_state=1).load()
    np.random.seed(3)
    again, other = SyntheticDataModule(random_state=1).load(), SyntheticDataModule(random_state=2).load()
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.y, again.y)
    assert not np.array_equal(first.x, other.x)
    assert not np.array_equal(first.y, other.y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_informative": 0}, "n_informative=0"),
        ({"n_informative": 21}, "n_informative=21 .* n_features=20"),
        ({"n_clusters": 0}, "n_clusters=0"),
        ({"n_clusters": 11, "n_samples": 10}, "n_clusters=11 .* n_samples=10"),
        ({"n_samples": 0}, "n_samples=0"),
        ({"separation": -1.0}, "separation=-1.0"),
        ({"random_state": -1}, "random_state=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"target": "age"}, "target='age' is unknown; choose from none, class, value, survival"),
        ({"n_subtypes": 3}, "n_subtypes=3 .* n_clusters=4"),
        ({"n_subtypes": 0}, "n_subtypes=0"),
        ({"n_subtypes": 4, "target": "class"}, "leave a single class"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SyntheticDataModule(**arguments)


def test_a_class_is_a_set_of_clusters() -> None:
    data = SyntheticDataModule(n_clusters=6, n_subtypes=3, target="class")
    samples = data.load()
    np.testing.assert_array_equal(samples.targets, samples.y // 3)
    assert data.target_spec.names == ["class 0", "class 1"]
    assert data.feature_names[4:6] == ["informative_4", "noise_5"]
    assert SyntheticDataModule().load().targets is None


@pytest.mark.parametrize("target", ["class", "value", "survival"])
def test_samples_do_not_depend_on_the_target(target: Any) -> None:
    plain, supervised = SyntheticDataModule().load(), SyntheticDataModule(target=target).load()
    np.testing.assert_array_equal(supervised.x, plain.x)
    np.testing.assert_array_equal(supervised.y, plain.y)


def test_values_follow_the_informative_features_alone() -> None:
    samples = SyntheticDataModule(target="value").load()
    value = samples.targets[:, 0]
    fitted, *_ = np.linalg.lstsq(samples.x - samples.x.mean(0), value - value.mean(), rcond=None)
    assert np.abs(fitted[:5]).min() > 5 * np.abs(fitted[5:]).max()
    assert value.std() == pytest.approx(1.0, abs=0.05)


def test_survival_times_follow_the_same_risk() -> None:
    risk = SyntheticDataModule(target="value").load().targets[:, 0]
    time, event = SyntheticDataModule(target="survival").load().targets.T
    assert set(event) == {0.0, 1.0}
    assert 0.2 < 1 - event.mean() < 0.5
    assert spearmanr(time, risk).statistic < -0.4
    # The number of events is the sum of cumulative hazards (martingale residuals of the true model add up to zero).
    assert event.sum() == pytest.approx((np.exp(risk) * time).sum(), rel=0.1)
