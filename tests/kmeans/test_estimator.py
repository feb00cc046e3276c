"""Tests of the class KMeans against scikit-learn's."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as SklearnKMeans

from lightning_dc.errors import InputError
from lightning_dc.kmeans import KMeans, MiniBatchKMeans, kmeans
from tests.helpers.points import blobs, uniform
from tests.helpers.processes import run_command


def test_everything_is_as_in_sklearn() -> None:
    x, weights = uniform().astype(np.float64), np.random.default_rng(0).random(400) + 0.1
    new = np.random.default_rng(1).random((50, 3))
    theirs = SklearnKMeans(6, init=x[:6], n_init=1).fit(x, sample_weight=weights)
    ours = KMeans(6, init=x[:6]).fit(x, sample_weight=weights)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-10)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.n_features_in_ == 3
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), rtol=1e-9)
    assert ours.score(new) == pytest.approx(theirs.score(new))
    assert ours.score(new, sample_weight=weights[:50]) == pytest.approx(theirs.score(new, sample_weight=weights[:50]))
    np.testing.assert_array_equal(KMeans(6, init=x[:6]).fit_predict(x, sample_weight=weights), ours.labels_)


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_the_second_positional_argument_is_ignored_as_in_sklearn(kind: Any) -> None:
    """The argument is the y of scikit-learn's pipelines, and never a weight."""
    x, y = blobs()
    expected = kind(4).fit(x)
    model = kind(4)
    np.testing.assert_array_equal(model.fit_predict(x, y), expected.labels_)
    assert model.score(x, y) == pytest.approx(expected.score(x))
    np.testing.assert_array_equal(kind(4).fit(x, y).cluster_centers_, expected.cluster_centers_)
    with pytest.raises(TypeError):
        kind(4).fit(x, y, np.ones(len(x)))


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["a"] * 300, "sample_weight of k-means holds <U1; give numbers"),
        (np.r_[np.ones(299), -1.0], "sample_weight holds negative"),
        (np.ones(299), r"sample_weight has shape \(299,\)"),
    ],
)
def test_bad_weights_are_refused_by_name(kind: Any, weights: Any, message: str) -> None:
    x, _ = blobs()
    for method in ("fit", "score"):
        with pytest.raises(InputError, match=message):
            getattr(kind(4).fit(x), method)(x, sample_weight=weights)


def test_as_many_restarts_as_the_function_makes() -> None:
    x = uniform()
    assert KMeans(9).n_init == 20
    expected = kmeans(torch.from_numpy(x), 9, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(KMeans(9).fit(x).cluster_centers_, expected.centroids.numpy())


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


FORMS = {
    "list": lambda x: x.tolist(),
    "read-only": read_only,
    "fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1][::-1],
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "float32": lambda x: x.astype(np.float32),
    "big-endian": lambda x: x.astype(">f8"),
    "long double": lambda x: x.astype(np.longdouble),
    "tensor": torch.from_numpy,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", FORMS)
def test_whatever_holds_numbers_is_taken(form: str) -> None:
    x = np.round(uniform().astype(np.float64) * 64)
    expected = KMeans(5).fit(x)
    result = KMeans(5).fit(FORMS[form](x))
    np.testing.assert_allclose(np.asarray(result.cluster_centers_), expected.cluster_centers_, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(result.labels_), expected.labels_)


def test_integers_and_booleans_are_taken() -> None:
    x = np.round(uniform() * 64)
    np.testing.assert_array_equal(KMeans(5).fit_predict(x.astype(np.int64)), KMeans(5).fit_predict(x))
    np.testing.assert_array_equal(KMeans(2).fit_predict(x > 32), KMeans(2).fit_predict((x > 32).astype(np.float32)))


def test_tensors_give_tensors_and_arrays_give_arrays() -> None:
    x = uniform()
    for given, kind, like in ((x, np.ndarray, np.dtype("float32")), (torch.from_numpy(x), torch.Tensor, torch.float32)):
        model = KMeans(3).fit(given)
        for result in (model.cluster_centers_, model.labels_, model.predict(given), model.transform(given)):
            assert isinstance(result, kind)
        assert model.cluster_centers_.dtype == like
        assert model.transform(given).dtype == like
    assert isinstance(model.predict(x), np.ndarray)  # the argument of predict decides, not that of fit


def test_the_seed_alone_decides() -> None:
    x = uniform()
    np.random.seed(0)
    torch.manual_seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1]
    first, second = KMeans(6, n_init=1, seed=2).fit(x), KMeans(6, n_init=1, seed=2).fit(x)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    np.testing.assert_array_equal(first.cluster_centers_, second.cluster_centers_)
    others = [KMeans(6, n_init=1, seed=seed).fit(x).cluster_centers_ for seed in range(3, 6)]
    assert not all(np.array_equal(first.cluster_centers_, other) for other in others)


def test_spherical_prediction_ignores_length() -> None:
    x, _ = blobs(300, 4, 5, seed=3)
    model = KMeans(5, spherical=True).fit(x)
    np.testing.assert_array_equal(model.predict(x * 1e3), model.labels_)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    chords = np.linalg.norm(unit[:, None] - model.cluster_centers_, axis=2)
    np.testing.assert_allclose(model.transform(x * 5), chords, atol=1e-6)
    assert -model.score(x) == pytest.approx(model.inertia_, rel=1e-5)
    np.testing.assert_allclose(np.linalg.norm(model.cluster_centers_, axis=1), 1.0, rtol=1e-6)


def test_far_from_the_origin_prediction_is_exact() -> None:
    x = (uniform() * 256).round() / 256 + 1e4
    model = KMeans(6).fit(x)
    distances = ((x.astype(np.float64)[:, None] - model.cluster_centers_.astype(np.float64)) ** 2).sum(2)
    np.testing.assert_array_equal(model.predict(x), distances.argmin(1))


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        (np.full((5, 2), np.nan), {}, "NaN or infinite"),
        (np.zeros((5, 2)), {"n_clusters": 6}, "n_clusters=6 .* the 5 samples"),
        (np.zeros(5), {}, r"matrix \(N, D\)"),
        (np.array([["a", "b"]]), {}, "give numbers"),
        (np.zeros((5, 2)), {"init": np.zeros((3, 2))}, r"shape \(3, 2\); give \(2, 2\)"),
    ],
)
def test_bad_input_is_refused(x: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        KMeans(**{"n_clusters": 2, **arguments}).fit(x)


@pytest.mark.parametrize("method", ["predict", "transform", "score"])
def test_unfitted_or_of_another_width_is_refused(method: str) -> None:
    with pytest.raises(InputError, match="this KMeans has no centroids yet; call fit first"):
        getattr(KMeans(2), method)(np.zeros((3, 2)))
    with pytest.raises(InputError, match="X has 3 features, but KMeans is expecting 2 features as input"):
        getattr(KMeans(1).fit(np.zeros((3, 2))), method)(np.zeros((3, 3)))


@pytest.mark.parametrize("inner_loops", ["as installed"], indirect=True)
def test_sklearn_is_not_imported() -> None:
    code = "import sys, lightning_dc.kmeans; sys.exit('sklearn' in sys.modules)"
    run_command([sys.executable, "-c", code])
