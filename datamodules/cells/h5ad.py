"""DataModule of AnnData files of single cells."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datamodules.cells.gene_expression import GeneSelection
from datamodules.cells.logarithms import log_base, why_no_genes
from datamodules.learning import LearningDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from datamodules.loading.sparse import checked_csr
from datamodules.messages import quote_first, tell, unreadable_file
from datamodules.tables.encoding import sort_distinct
from lightning_dc.batch import UNLABELLED
from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class AnnDataModule(LearningDataModule[GeneSelection]):
    """Counts of single cells from an AnnData file, ``.h5ad``; it needs ``pip install lightning_dc[anndata]``.

    The counts of each cell are divided by their sum and multiplied by ``target_sum``, ln(1 + x) is taken, and the genes
    that vary most are kept. They are chosen on the training cells, as ``scanpy.pp.highly_variable_genes`` does by
    default, and travel with the checkpoint. A file to predict on needs the same genes, by name and in any order; other
    genes are left out before the sum. Samples are sparse. A cell without counts has a row of zeros. The id of a cell is
    its name. A truncated file is refused. On a file in which single bytes have changed, HDF5 itself can loop for ever,
    so compare its checksum if the source gives one.

    Args:
        path: the file.
        layer: layer of the counts; None takes ``X``.
        label: column of ``obs`` with classes, for evaluation. A missing class is unknown.
        target_sum: sum of the counts of each cell after normalisation; None leaves the counts as they are.
        log1p: take ln(1 + x).
        n_top_genes: number of genes to keep; None keeps all. With ``target_sum=None`` and ``log1p=False`` the values
            may be normalised counts, or logarithms of them, which are undone for the choice; scaled values are refused.
        batch_size: number of cells in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; ``standard`` is refused for sparse samples.
        val_fraction: share of the cells that is held out for validation.

    Raises:
        InputError: an argument is out of range, the file cannot be read, two genes or two cells have the same name, or
            numbers are not counts.
    """

    learned_name = "genes"

    def __init__(
        self,
        path: str,
        layer: str | None = None,
        label: str | None = None,
        target_sum: float | None = 1e4,
        log1p: bool = True,
        n_top_genes: int | None = 2000,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction)
        if target_sum is not None and not target_sum > 0:
            raise InputError(f"target_sum={target_sum} must be positive, or null")
        if n_top_genes is not None and n_top_genes < 1:
            raise InputError(f"n_top_genes={n_top_genes} must be at least 1, or null for all")
        self.path = Path(path).expanduser()
        self.layer = layer
        self.label = label
        self.target_sum = target_sum
        self.log1p = log1p
        self.n_top_genes = n_top_genes

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"path": self.path}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (len(self.ensure_learned().kept),)

    @property
    def feature_names(self) -> Sequence[str]:
        return self.ensure_learned().kept_genes

    def restore(self, state: dict[str, Any]) -> GeneSelection:
        return GeneSelection(**state)

    def load(self) -> Samples:
        data = self._read()
        genes, cells = (
            self._names(names, what) for names, what in ((data.var_names, "gene"), (data.obs_names, "cell"))
        )
        counts = self._counts(data)
        y = None
        if self.label is not None and (self.learned is None or self.label in data.obs):  # new cells need no labels
            y = self._labels(data.obs)
        if self.learned is None:
            rows = self.training_rows(len(cells))
            training = counts if rows is None else counts[rows.numpy()]
            base = None if self.n_top_genes is None else self._log_base(data, counts)
            try:
                self.learned = GeneSelection.learn(training, genes, self.n_top_genes, self.target_sum, self.log1p, base)
            except InputError as error:
                raise InputError(f"{self.path}: {error}") from error
        position = {gene: i for i, gene in enumerate(genes)}
        missing = [gene for gene in self.learned.genes if gene not in position]
        if missing:
            raise InputError(
                f"{self.path}: lacks the genes {quote_first(missing)}, which the training data had; add them"
            )
        order = [position[gene] for gene in self.learned.genes]
        return Samples(self.learned(counts if order == list(range(len(genes))) else counts[:, order]), y, ids=cells)

    def _read(self) -> Any:
        if self.path.suffix != ".h5ad" or not self.path.is_file():
            raise InputError(f"{self.path}: is no .h5ad file; give the path of one")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about pandas and old files, which can be read all the same
                import anndata

                return anndata.read_h5ad(self.path)
        except ImportError as error:
            raise InputError(f"{self.path}: needs anndata; run pip install 'lightning_dc[anndata]'") from error
        except Exception as error:  # damaged files make HDF5 fail in many ways
            raise unreadable_file(self.path, error) from error

    def _counts(self, data: Any) -> csr_array[Any]:
        from scipy.sparse import csr_array, issparse

        if self.layer is not None and self.layer not in data.layers:
            raise InputError(
                f"layer={self.layer!r} is no layer of {self.path}, which has {quote_first(list(data.layers))}"
            )
        matrix = data.X if self.layer is None else data.layers[self.layer]
        if matrix is None:
            raise InputError(f"{self.path}: has no X; name a layer")
        if not issparse(matrix) and np.asarray(matrix).dtype.kind not in "biuf":
            raise InputError(f"{self.path}: holds {np.asarray(matrix).dtype}, not counts; give numbers")
        try:
            counts = checked_csr(matrix) if issparse(matrix) else csr_array(matrix)
        except ValueError as error:
            raise unreadable_file(self.path, error) from error
        values = counts.data
        normalises = self.target_sum is not None or self.log1p
        bad = ~np.isfinite(values)
        if normalises:
            bad |= (values < 0) | (values != np.round(values))
        if bad.any():
            at = int(bad.argmax())
            row = int(np.searchsorted(counts.indptr, at, side="right")) - 1
            remedy = "name the layer of raw counts, or set target_sum to null and log1p to false"
            raise InputError(
                f"{self.path}: holds {values[at]:g} for cell {row} and gene {int(counts.indices[at])}, which is no "
                f"count; {remedy if np.isfinite(values[at]) else 'remove the cell'}"
            )
        return counts

    def _log_base(self, data: Any, x: csr_array[Any]) -> float | None:
        """Return the base of the logarithm that values must have been taken of; None for counts.

        Raises:
            InputError: genes cannot be chosen, since the values are negative.
        """
        if self.target_sum is not None or self.log1p:  # they have been checked to be counts
            return None
        problem = why_no_genes(x)
        if problem is not None:
            raise InputError(
                f"{self.path}: {problem}, so the genes that vary most can't be found; name the layer of the counts or "
                "of their logarithms, or set n_top_genes to null"
            )
        told = data.uns.get("log1p") if self.layer is None else None
        base = log_base(x, told)
        if base is not None:
            tell(f"{self.path}: the values are logarithms (base {base:.4g}), which are undone to choose genes")
        return base

    def _names(self, names: Any, what: str) -> list[str]:
        found = [str(name) for name in names]
        if len(set(found)) < len(found):
            raise InputError(
                f"{self.path}: has more than one {what} named {Counter(found).most_common(1)[0][0]!r}; make the names "
                f"unique, as {'obs' if what == 'cell' else 'var'}_names_make_unique() does"
            )
        return found

    def _labels(self, obs: Any) -> NDArray[np.int64]:
        if self.label not in obs:
            raise InputError(
                f"label={self.label!r} is no column of obs in {self.path}, which has {quote_first(list(obs))}"
            )
        column = obs[self.label]
        missing = column.isna().to_numpy()
        values = [None if gone else str(value) for value, gone in zip(column, missing, strict=True)]
        number = {name: i for i, name in enumerate(sort_distinct(value for value in values if value is not None))}
        return np.array([UNLABELLED if value is None else number[value] for value in values])
