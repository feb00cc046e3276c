"""Normalisation of single-cell counts, and choice of the genes that vary most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_N_BINS = 20


class GeneSelection:
    """Selection of genes, and normalisation of their counts.

    Args:
        genes: names of all genes of the training data, in order.
        kept: positions in ``genes`` of the genes that are kept, ascending.
        target_sum: sum of the counts of a cell over all genes after normalisation; None leaves the counts as they are.
        log1p: take ln(1 + x) of the result.
    """

    def __init__(self, genes: Sequence[str], kept: Sequence[int], target_sum: float | None, log1p: bool) -> None:
        self.genes = list(genes)
        self.kept = list(kept)
        self.target_sum = target_sum
        self.log1p = log1p

    @classmethod
    def learn(
        cls,
        counts: csr_array[Any],
        genes: Sequence[str],
        n_top_genes: int | None,
        target_sum: float | None,
        log1p: bool,
        log_base: float | None = None,
    ) -> GeneSelection:
        """Choose the genes that vary most, by scanpy's default (``flavor="seurat"``).

        Args:
            counts: of training cells, (N, G), not normalised; or logarithms of normalised counts.
            genes: names of the genes, (G,).
            n_top_genes: number of genes to keep; None keeps all.
            target_sum: see the class.
            log1p: see the class.
            log_base: base b of values that are log_b(1 + normalised count) already, which is undone for the choice, as
                scanpy does; None for counts.

        Raises:
            InputError: there are fewer genes than that.
        """
        if n_top_genes is None:
            return cls(genes, range(len(genes)), target_sum, log1p)
        if n_top_genes > len(genes):
            raise InputError(f"n_top_genes={n_top_genes} is more than the {len(genes)} genes; lower it, or give null")
        x = _normalised(counts, target_sum)
        if log_base is not None:
            x = (x * np.log(log_base)).expm1()
        dispersion = normalised_dispersion(x)
        ranked = np.argsort(-np.nan_to_num(dispersion, nan=-np.inf), kind="stable")
        return cls(genes, np.sort(ranked[:n_top_genes]).tolist(), target_sum, log1p)

    @property
    def kept_genes(self) -> list[str]:
        """Names of the genes that are kept."""
        return [self.genes[i] for i in self.kept]

    def __call__(self, counts: csr_array[Any]) -> csr_array[Any]:
        """Normalise the counts of cells, (N, G), with a column for each of :attr:`genes`, and keep the selected genes.

        A cell without counts keeps its zeros.

        Returns:
            Normalised counts, (N, len(kept)), float32.
        """
        x = _normalised(counts, self.target_sum)[:, self.kept]
        return (x.log1p() if self.log1p else x).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Return genes and normalisation."""
        return {"genes": self.genes, "kept": self.kept, "target_sum": self.target_sum, "log1p": self.log1p}


def normalised_dispersion(x: csr_array[Any]) -> NDArray[np.float64]:
    """Compute how much each gene varies in comparison with genes of a similar mean (Satija et al. 2015).

    The logarithm of variance / mean is standardised within 20 bins of ln(1 + mean), which have equal width; a gene that
    is alone in its bin has 1. These are the steps of ``scanpy.pp.highly_variable_genes`` with ``flavor="seurat"``:
    https://scanpy.readthedocs.io/en/stable/api/generated/scanpy.pp.highly_variable_genes.html

    Args:
        x: normalised counts of cells, (N, G), without logarithms.

    Returns:
        Dispersion of each gene, (G,); NaN for a gene that does not vary.
    """
    n_cells = x.shape[0]
    mean = np.asarray(x.sum(axis=0)).ravel() / n_cells
    squares = np.asarray(x.power(2).sum(axis=0)).ravel() / n_cells
    variance = np.maximum(squares - mean**2, 0.0) * n_cells / max(n_cells - 1, 1)
    mean[mean == 0] = 1e-12
    ratio = variance / mean
    ratio[ratio == 0] = np.nan
    dispersion, mean = np.log(ratio), np.log1p(mean)
    low, high = mean.min(), mean.max()
    if low == high:  # the range is widened as pandas does it
        low, high = low - 1e-3 * abs(low), high + 1e-3 * abs(high)
    edges = np.linspace(low, high, _N_BINS + 1)
    edges[0] -= 1e-3 * (high - low)
    bins = np.searchsorted(edges, mean, side="left")
    result = np.full_like(dispersion, np.nan)
    for number in np.unique(bins):
        members = (bins == number) & ~np.isnan(dispersion)
        if members.sum() == 1:
            result[members] = 1.0
        elif members.any():
            deviation = dispersion[members].std(ddof=1)
            result[members] = (dispersion[members] - dispersion[members].mean()) / deviation if deviation else np.nan
    return result


def _normalised(counts: csr_array[Any], target_sum: float | None) -> csr_array[Any]:
    x = counts.astype(np.float64)
    if target_sum is not None:
        size = np.asarray(x.sum(axis=1)).ravel()
        factor = np.divide(target_sum, size, out=np.zeros_like(size), where=size > 0)
        x.data *= np.repeat(factor, np.diff(x.indptr))
    return x
