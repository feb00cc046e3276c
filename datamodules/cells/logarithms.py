"""Recognition of gene expression that is no counts any more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MOST_LOGARITHM = 25.0  # a count of e^25 molecules is in no cell, but normalised counts of 10,000 a cell exceed it
_LARGEST_EXPONENT = 300.0  # 10^308 is the largest float
_EVEN = 0.01


def why_no_genes(x: csr_array[Any]) -> str | None:
    """Return why the genes that vary most cannot be found; None if they can.

    Args:
        x: expression of cells, (N, G), finite.
    """
    if len(x.data) and x.data.min() < 0:
        return f"X holds negative values ({x.data.min():g}), as scaled data or residuals do"
    if _have_one_variance(x):
        return "all genes of X have variance 1, as scaled data do"
    return None


def log_base(x: csr_array[Any], told: Any) -> float | None:
    """Return the base b of expression that is log_b(1 + normalised count); None for counts, normalised or not.

    Whole numbers are counts, and so are values whose sums over a cell are the same in all cells. Others are logarithms
    if the file says so, or if none exceeds 25.

    Args:
        x: expression of cells, (N, G), not negative.
        told: what scanpy has written of a logarithm into the file, a mapping with ``base``; None if it has not.
    """
    if len(x.data) == 0 or bool((x.data == np.round(x.data)).all()):
        return None
    base = told.get("base") if hasattr(told, "get") else None
    if isinstance(base, (int, float, np.number)) and math.isfinite(base) and base > 1:
        return float(base)
    largest = float(x.data.max())
    if largest > _LARGEST_EXPONENT or (told is None and (largest > _MOST_LOGARITHM or _spread_of_sums(x) < _EVEN)):
        return None
    spread = {base: _spread_of_sums((x.astype(np.float64) * math.log(base)).expm1()) for base in (math.e, 2.0, 10.0)}
    most_even = min(spread, key=spread.__getitem__)
    return most_even if spread[most_even] < _EVEN else math.e


def _spread_of_sums(x: csr_array[Any]) -> float:
    """Return how much the sums of cells differ, as standard deviation over mean; cells of zeros are left out."""
    sums: NDArray[np.float64] = np.asarray(x.sum(axis=1), np.float64).ravel()
    sums = sums[sums > 0]
    return float(sums.std() / sums.mean()) if len(sums) > 1 else math.inf


def _have_one_variance(x: csr_array[Any]) -> bool:
    """Tell whether nearly all genes that vary have variance 1, and there are some of them."""
    n_cells = x.shape[0]
    mean = np.asarray(x.sum(axis=0), np.float64).ravel() / n_cells
    squares = np.asarray(x.astype(np.float64).power(2).sum(axis=0)).ravel() / n_cells
    variance = (squares - mean**2) * n_cells / max(n_cells - 1, 1)
    variance = variance[variance > 1e-12]
    return len(variance) > 1 and bool((np.abs(variance - 1) < 0.01).mean() > 0.95)
