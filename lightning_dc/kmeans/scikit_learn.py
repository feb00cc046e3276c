"""The protocol of scikit-learn's estimators, without importing scikit-learn before it is used.

The import takes a second on a small machine, which each command would pay for.
"""

from __future__ import annotations

import functools
import inspect
import reprlib
import sys
import warnings
from typing import Any, ClassVar, TypeVar

import numpy as np
from torch import Tensor

from lightning_dc.errors import InputError

_Self = TypeVar("_Self", bound="ScikitLearnClusterer")


class ScikitLearnClusterer:
    """Base class of clusterers that also transform, which scikit-learn treats like subclasses of its BaseEstimator.

    The parameters of an estimator are the arguments of its constructor, which sets attributes of these names and no
    others.

    Attributes:
        feature_names_in_: names of the features, (D,), if ``fit`` has seen a data frame with names.
        n_features_in_: number of features D.
        n_clusters: number of clusters K.
    """

    n_features_in_: int
    n_clusters: int
    _estimator_type: ClassVar[str] = "clusterer"  # scikit-learn below 1.6
    _sklearn_auto_wrap_output_keys: ClassVar[set[str]] = {"transform"}
    _sklearn_output_config: dict[str, str]

    @property
    def is_fitted(self) -> bool:
        """True if the estimator has been fitted."""
        raise NotImplementedError

    # ---- parameters ------------------------------------------------------------------------------------------------

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls.__init__).parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; ``deep`` has no effect, as no parameter is an estimator."""
        return {name: getattr(self, name) for name in self._get_param_names()}

    def set_params(self: _Self, **params: Any) -> _Self:
        """Set parameters by name.

        Raises:
            InputError: a parameter does not exist.
        """
        names = self._get_param_names()
        for name, value in params.items():
            if name not in names:
                raise InputError(f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {names!r}.")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        shown = {
            name: value for name, value in self.get_params().items() if repr(value) != repr(defaults[name].default)
        }
        return f"{type(self).__name__}({', '.join(f'{name}={reprlib.repr(value)}' for name, value in shown.items())})"

    # ---- description -----------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator
        from sklearn.utils import TransformerTags

        tags = BaseEstimator.__sklearn_tags__(self)
        tags.estimator_type = "clusterer"
        tags.transformer_tags = TransformerTags(preserves_dtype=["float64", "float32"])
        tags.input_tags.sparse = True
        return tags

    def _more_tags(self) -> dict[str, Any]:
        """Return the tags for scikit-learn below 1.6."""
        return {"preserves_dtype": [np.float64, np.float32]}

    def __sklearn_is_fitted__(self) -> bool:
        return self.is_fitted

    def _check_is_fitted(self) -> None:
        if not self.is_fitted:
            raise not_fitted_error(f"this {type(self).__name__} has no centroids yet; call fit first")

    # ---- features --------------------------------------------------------------------------------------------------

    def _check_features(self, x: Any, n_features: int, *, reset: bool) -> None:
        """Check the names and the number of features, or take them over from ``x`` if ``reset`` is true."""
        if n_features == 0:
            shape, name = (len(x) if hasattr(x, "__len__") else x.shape[0], 0), type(self).__name__
            raise InputError(
                f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required by {name}."
            )
        if any(hasattr(x, name) for name in ("columns", "__dataframe__")) or hasattr(self, "feature_names_in_"):
            _check_feature_names(self, x, reset)
        if reset:
            self.n_features_in_ = n_features
        elif n_features != self.n_features_in_:
            raise InputError(
                f"X has {n_features} features, but {type(self).__name__} is expecting {self.n_features_in_} features "
                "as input"
            )

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns of ``transform``, (K,), such as "kmeans0".

        Args:
            input_features: names of the features, (D,), which are only checked.
        """
        from sklearn.utils.validation import _check_feature_names_in

        self._check_is_fitted()
        _check_feature_names_in(self, input_features, generate_names=False)
        return np.asarray([f"{type(self).__name__.lower()}{k}" for k in range(self.n_clusters)], dtype=object)

    def set_output(self: _Self, *, transform: str | None = None) -> _Self:
        """Set the form of the result of ``transform``: "default", "pandas" or "polars"; None changes nothing."""
        if transform is not None:
            self._sklearn_output_config = {**getattr(self, "_sklearn_output_config", {}), "transform": transform}
        return self

    def _in_output_form(self, result: Any, x: Any) -> Any:
        """Return the result of ``transform`` in the form that ``set_output`` or scikit-learn's settings ask for."""
        asked = hasattr(self, "_sklearn_output_config") or "sklearn" in sys.modules
        if not asked or isinstance(result, Tensor):
            return result
        from sklearn.utils._set_output import _wrap_data_with_container

        return _wrap_data_with_container("transform", result, x, self)


@functools.cache
def _not_fitted_class() -> type[InputError]:
    from sklearn.exceptions import NotFittedError

    def reduce(self: Exception) -> tuple[Any, ...]:
        return not_fitted_error, self.args

    return type("NotFittedError", (InputError, NotFittedError), {"__reduce__": reduce, "__module__": __name__})


def not_fitted_error(message: str) -> InputError:
    """Return an error that is an ``InputError`` as well as scikit-learn's ``NotFittedError``."""
    return _not_fitted_class()(message)


def warn_of_convergence(message: str) -> None:
    """Issue scikit-learn's ``ConvergenceWarning`` from the caller of an estimator's method."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(message, ConvergenceWarning, stacklevel=4)


def _check_feature_names(estimator: ScikitLearnClusterer, x: Any, reset: bool) -> None:
    try:
        from sklearn.utils.validation import _check_feature_names as check
    except ImportError:  # scikit-learn below 1.6
        from sklearn.base import BaseEstimator

        check = BaseEstimator._check_feature_names
    check(estimator, x, reset=reset)
