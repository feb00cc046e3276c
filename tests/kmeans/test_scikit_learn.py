"""The estimators within scikit-learn: its own checks, pipelines, searches, data frames and sparse matrices."""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import sklearn.cluster
import torch
from sklearn.base import clone, is_clusterer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from lightning_dc.errors import InputError
from lightning_dc.kmeans import KMeans, MiniBatchKMeans, arrays, sparse_rows
from tests.helpers.points import blobs

pytestmark = pytest.mark.parametrize("inner_loops", ["as installed"], indirect=True)

KINDS = pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
EXPECTED = {  # those that scikit-learn expects of its KMeans and MiniBatchKMeans, too: weights change random draws
    f"check_sample_weight_equivalence_on_{form}_data": "weights change the random draws" for form in ("dense", "sparse")
}
X = blobs()[0].astype(np.float64)


@KINDS
@pytest.mark.parametrize("arguments", [{}, {"n_clusters": 2, "n_init": 2, "max_iter": 5}])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_pass(kind: Any, arguments: dict[str, Any]) -> None:
    results = estimator_checks.check_estimator(
        kind(**arguments), expected_failed_checks=EXPECTED, on_skip=None, on_fail=None
    )
    assert [(r["check_name"], str(r["exception"])) for r in results if r["status"] == "failed"] == []
    assert sum(r["status"] == "passed" for r in results) > 45


@KINDS
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_of_clusterers_pass(kind: Any) -> None:
    """Checks that it makes only of subclasses of its ClusterMixin."""
    checks = [*estimator_checks._yield_clustering_checks(kind())]
    assert len(checks) >= 3
    for check in [*checks, estimator_checks.check_estimators_partial_fit_n_features]:
        check(kind.__name__, kind())


@KINDS
def test_every_check_of_scikit_learns_class_is_made(kind: Any) -> None:
    def checks(estimator: Any) -> set[str]:
        found = estimator_checks.estimator_checks_generator(estimator)
        return {getattr(check, "func", check).__name__ for _, check in found}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the class does not derive from BaseEstimator
        missing = checks(getattr(sklearn.cluster, kind.__name__)()) - checks(kind())
    assert missing <= {
        *("check_clustering", "check_clusterer_compute_labels_predict"),
        "check_estimators_partial_fit_n_features",
    }


@KINDS
def test_parameters(kind: Any) -> None:
    model = kind(n_clusters=3, seed=2)
    assert model.get_params()["n_clusters"] == 3
    assert set(model.get_params()) == set(vars(model))
    copy = clone(model.fit(X))
    assert copy is not model
    assert copy.get_params() == model.get_params()
    assert not copy.is_fitted
    assert model.set_params(n_clusters=4, tol=0.0) is model
    assert (model.n_clusters, model.tol) == (4, 0.0)
    with pytest.raises(InputError, match=r"Invalid parameter 'k' for estimator .*Valid parameters are: \['"):
        model.set_params(k=3)
    given = kind(3, init=X[:3])
    np.testing.assert_array_equal(clone(given).init, X[:3])


@KINDS
def test_the_text_shows_what_is_not_the_default(kind: Any) -> None:
    assert repr(kind()) == f"{kind.__name__}()"
    assert repr(kind(3, init="random")) == f"{kind.__name__}(init='random', n_clusters=3)"
    assert len(repr(kind(300, init=np.zeros((300, 9))))) < 100
    assert kind.__name__ in estimator_html_repr(make_pipeline(StandardScaler(), kind(3)))


@KINDS
def test_tags(kind: Any) -> None:
    tags = sklearn.utils.get_tags(kind())
    assert is_clusterer(kind())
    assert tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    assert not tags.target_tags.required
    assert set(tags.transformer_tags.preserves_dtype) == {"float64", "float32"}


@KINDS
def test_before_fit_there_is_scikit_learns_error(kind: Any) -> None:
    for call in (kind().predict, kind().transform, kind().score, lambda _: kind().get_feature_names_out()):
        with pytest.raises(NotFittedError, match="has no centroids yet; call fit first") as caught:
            call(X)
        assert isinstance(caught.value, InputError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is type(caught.value)
        assert str(again) == str(caught.value)
    with pytest.raises(NotFittedError):
        check_is_fitted(kind())
    check_is_fitted(kind(2).fit(X))


@KINDS
def test_in_a_pipeline(kind: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), kind(5)).fit(X)
    scaled = StandardScaler().fit_transform(X)
    expected = kind(5).fit(scaled)
    np.testing.assert_array_equal(pipeline.predict(X), expected.labels_)
    np.testing.assert_array_equal(pipeline.transform(X), expected.transform(scaled))
    np.testing.assert_array_equal(clone(pipeline).fit_predict(X), expected.labels_)
    np.testing.assert_array_equal(clone(pipeline).fit_transform(X), expected.transform(scaled))
    assert pipeline.score(X) == expected.score(scaled)


@KINDS
def test_in_a_grid_search(kind: Any) -> None:
    grid = {"n_clusters": np.arange(2, 5), "init": ["random", "k-means++"]}
    search = GridSearchCV(kind(n_init=1), grid, cv=3, error_score="raise").fit(X)
    assert search.best_params_["n_clusters"] == 4
    assert search.predict(X).shape == (300,)


@KINDS
def test_names_of_features(kind: Any) -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = kind(3).fit(frame)
    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.get_feature_names_out().tolist() == [f"{kind.__name__.lower()}{k}" for k in range(3)]
    np.testing.assert_array_equal(model.predict(frame), kind(3).fit(X).labels_)
    for other in (frame[["b", "a", "c", "d"]], frame.rename(columns={"a": "e"})):
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(other)
    with pytest.warns(UserWarning, match=f"does not have valid feature names, but {kind.__name__} was fitted with"):
        model.predict(X)
    assert not hasattr(model.fit(X), "feature_names_in_")


@KINDS
def test_the_form_of_the_output(kind: Any) -> None:
    frame = pd.DataFrame(X, columns=list("abcd"), index=range(7, 307))
    model, names = kind(3).fit(frame), [f"{kind.__name__.lower()}{k}" for k in range(3)]
    plain = model.transform(frame)
    assert isinstance(plain, np.ndarray)
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(model.transform(frame), pd.DataFrame)
        assert isinstance(kind(3).fit(X).transform(torch.from_numpy(X)), torch.Tensor)
    wrapped = clone(model).set_output(transform="pandas").fit_transform(frame)
    assert wrapped.columns.tolist() == names
    assert wrapped.index.tolist() == list(range(7, 307))
    np.testing.assert_array_equal(wrapped.to_numpy(), plain)
    assert isinstance(clone(model.set_output(transform="pandas")).fit(frame).transform(frame), pd.DataFrame)
    assert isinstance(model.set_output(transform=None).set_output(transform="default").transform(frame), np.ndarray)


FORMATS = ["csr_matrix", "csr_array", "csc_matrix", "coo_array", "lil_matrix", "dok_matrix", "bsr_array", "dia_matrix"]


@KINDS
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.filterwarnings("ignore:Constructing a DIA matrix")
def test_sparse_samples_are_like_dense_ones(kind: Any, form: str) -> None:
    x = np.where(np.random.default_rng(0).random(X.shape) < 0.6, 0.0, X)
    sparse, weights = getattr(scipy.sparse, form)(x), np.arange(len(x)) % 3
    dense, model = (kind(4).fit(data, sample_weight=weights) for data in (x, sparse))
    np.testing.assert_array_equal(model.labels_, dense.labels_)
    np.testing.assert_array_equal(model.predict(sparse), dense.labels_)
    np.testing.assert_allclose(model.cluster_centers_, dense.cluster_centers_)
    np.testing.assert_allclose(model.transform(sparse), dense.transform(x))
    assert model.score(sparse, sample_weight=weights) == pytest.approx(dense.score(x, sample_weight=weights))
    assert model.inertia_ == pytest.approx(dense.inertia_)
    if kind is MiniBatchKMeans:
        streams = [kind(4).partial_fit(data).partial_fit(data) for data in (x, sparse)]
        np.testing.assert_allclose(streams[1].cluster_centers_, streams[0].cluster_centers_)


@KINDS
@pytest.mark.parametrize(("dtype", "expected"), [("f4", "f4"), ("f8", "f8"), ("i1", "f4"), ("i8", "f8"), ("?", "f4")])
def test_types_of_sparse_values(kind: Any, dtype: str, expected: str) -> None:
    assert kind(2).fit(scipy.sparse.csr_matrix(np.eye(6).astype(dtype))).cluster_centers_.dtype == np.dtype(expected)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state")
def test_sparse_tensors_are_taken() -> None:
    x = torch.from_numpy(X).relu()
    expected = KMeans(4).fit(x).labels_
    for sparse in (x.to_sparse(), x.to_sparse_csr()):
        assert torch.equal(KMeans(4).fit(sparse).labels_, expected)


def test_sparse_rows_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = scipy.sparse.random(500, 60, 0.1, format="csr", random_state=0)
    model = MiniBatchKMeans(3, batch_size=50, max_iter=3).fit(matrix)
    expected = model.predict(matrix), model.score(matrix)
    monkeypatch.setattr(sparse_rows, "_ELEMENTS", 60 * 7)
    shapes = []
    get = sparse_rows.SparseRows.__getitem__
    monkeypatch.setattr(sparse_rows.SparseRows, "__getitem__", lambda *a: shapes.append(get(*a).shape) or get(*a))
    np.testing.assert_array_equal(model.predict(matrix), expected[0])
    assert model.score(matrix) == pytest.approx(expected[1])
    assert max(shapes) == (7, 60)


def test_a_sparse_matrix_that_exceeds_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = scipy.sparse.random(100, 60, 0.1, format="csr")
    monkeypatch.setattr(arrays, "_memory", lambda: 4e4)
    with pytest.raises(InputError, match=r"x has the shape \(100, 60\), .* use MiniBatchKMeans"):
        KMeans(3).fit(matrix)
    MiniBatchKMeans(3).fit(matrix)


@KINDS
def test_fewer_distinct_samples_than_clusters_give_a_warning(kind: Any) -> None:
    x = np.repeat(X[:3], 5, axis=0)
    with pytest.warns(ConvergenceWarning, match="only 3 of n_clusters=5 clusters have samples") as caught:
        kind(5).fit(x)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind(3).fit(x)


BAD: dict[str, Callable[[np.ndarray], Any]] = {
    "array": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "tensor": torch.from_numpy,
    "objects": lambda x: x.astype(object),
    "frame": pd.DataFrame,
    "sparse": scipy.sparse.csr_matrix,
}


@KINDS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", BAD)
@pytest.mark.parametrize("spherical", [False, True])
def test_values_that_are_not_finite_are_refused(kind: Any, value: float, form: str, spherical: bool) -> None:
    model, x = kind(3, **({"spherical": True} if spherical and kind is KMeans else {})).fit(X), X.copy()
    x[7, 2] = value
    for method in ("predict", "transform", "score", "fit", "fit_predict", "fit_transform", "partial_fit"):
        if hasattr(model, method):
            with pytest.raises(InputError, match="NaN or infinite"):
                getattr(model, method)(BAD[form](x))


@KINDS
def test_objects_and_complex_numbers(kind: Any) -> None:
    np.testing.assert_array_equal(kind(3).fit(X.astype(object)).labels_, kind(3).fit(X).labels_)
    for bad, error, message in (
        (np.array([["a", 1]], dtype=object), InputError, "objects that are not numbers"),
        (np.array([[{}, 1]], dtype=object), TypeError, "argument must be a string or a real number"),
        (X + 1j, InputError, "Complex data not supported"),
        (scipy.sparse.csr_matrix(X + 1j), InputError, "Complex data not supported"),
        (np.zeros((4, 0)), InputError, r"0 feature\(s\) \(shape=\(4, 0\)\) while a minimum of 1 is required"),
        (np.zeros(4), InputError, "Reshape your data"),
    ):
        with pytest.raises(error, match=message):
            kind(2).fit(bad)


@KINDS
def test_a_fitted_estimator_can_be_pickled(kind: Any) -> None:
    model = kind(3).fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.labels_)


def test_without_scikit_learn_in_memory_nothing_imports_it() -> None:
    from tests.helpers.processes import run_command

    code = (
        "import sys, numpy as np; from lightning_dc.kmeans import KMeans, MiniBatchKMeans; x = np.eye(9)\n"
        "for kind in (KMeans, MiniBatchKMeans):\n"
        "    model = kind(3).fit(x)\n"
        "    model.predict(x), model.fit_transform(x), model.score(x), repr(model), model.get_params()\n"
        "sys.exit('sklearn' in sys.modules)"
    )
    run_command([sys.executable, "-c", code])
