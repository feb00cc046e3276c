"""DataModule of AnnData files of single cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.annotation import Annotation
from datamodules.cells.annotated import annotate, write_annotated_file, write_annotated_memory
from datamodules.cells.batches import batches_of, tell_of_batches
from datamodules.cells.gene_expression import GeneSelection
from datamodules.cells.logarithms import log_base, why_no_genes
from datamodules.cells.obsm import ObsmMatrix
from datamodules.cells.source import read_cells
from datamodules.learning import LearningDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from datamodules.loading.sparse import checked_csr
from datamodules.messages import quote_first, tell, unreadable_file
from datamodules.tables.encoding import sort_distinct
from lightning_dc.batch import UNLABELLED, Assigned, SourceBatches
from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


_N_TOP_GENES = 2000


class AnnDataModule(LearningDataModule[GeneSelection | ObsmMatrix]):
    """Counts of single cells from an AnnData file, ``.h5ad``, or in memory.

    Files need ``pip install lightning_dc[anndata]``.

    The counts of each cell are divided by their sum and multiplied by ``target_sum``, ln(1 + x) is taken, and the genes
    that vary most are kept. They are chosen on the training cells, as ``scanpy.pp.highly_variable_genes`` does by
    default, and travel with the checkpoint. A file to predict on needs the same genes, by name and in any order; other
    genes are left out before the sum. Samples are sparse. A cell without counts has a row of zeros. The id of a cell is
    its name. A truncated file is refused. On a file in which single bytes have changed, HDF5 itself can loop for ever,
    so compare its checksum if the source gives one.

    With ``obsm`` the samples are a matrix that has been computed before, such as principal components; they are not
    normalised, and travel by their name. After a fit, :meth:`annotate` puts the clusters into AnnData in memory.

    Args:
        path: the file, or an ``anndata.AnnData``.
        layer: layer of the counts; None takes ``X``.
        label: column of ``obs`` with classes, for evaluation. A missing class is unknown.
        target_sum: sum of the counts of each cell after normalisation; None leaves the counts as they are.
        log1p: take ln(1 + x).
        n_top_genes: number of genes to keep; ``auto`` keeps 2,000, or all if there are fewer, and None keeps all. With
            ``target_sum=None`` and ``log1p=False`` the values may be normalised counts, or logarithms of them, which
            are undone for the choice; scaled values are refused.
        mask_var: column of ``var`` with truth values that says which genes are kept, such as ``highly_variable``, in
            place of ``n_top_genes``; None for none.
        obsm: key of a matrix of ``obsm`` that is the input, such as ``X_pca``, in place of counts; None for none.
        batch_key: column of ``obs`` with batches of measurements. The end of a fit tells how far the clusters follow
            them. None compares none.
        batch_size: number of cells in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; ``standard`` is refused for sparse samples.
        val_fraction: share of the cells that is held out for validation.

    Raises:
        InputError: an argument is out of range or names nothing in the data, the file cannot be read, two genes or two
            cells have the same name, or numbers are not counts.
    """

    learned_name = "genes"

    def __init__(
        self,
        path: str | Any,
        layer: str | None = None,
        label: str | None = None,
        target_sum: float | None = 1e4,
        log1p: bool = True,
        n_top_genes: int | Literal["auto"] | None = "auto",
        mask_var: str | None = None,
        obsm: str | None = None,
        batch_key: str | None = None,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction)
        if target_sum is not None and not target_sum > 0:
            raise InputError(f"target_sum={target_sum} must be positive, or null")
        if isinstance(n_top_genes, str) and n_top_genes != "auto":
            raise InputError(f"n_top_genes={n_top_genes!r} must be a number, auto, or null for all")
        if isinstance(n_top_genes, int) and n_top_genes < 1:
            raise InputError(f"n_top_genes={n_top_genes} must be at least 1, or null for all")
        if obsm is not None and (layer is not None or mask_var is not None):
            raise InputError(
                f"obsm={obsm!r} is the input, so layer and mask_var, which are of counts, say nothing; leave them out"
            )
        self.path = Path(path).expanduser() if isinstance(path, (str, PathLike)) else path
        self.layer = layer
        self.label = label
        self.target_sum = target_sum
        self.log1p = log1p
        self.n_top_genes = n_top_genes
        self.mask_var = mask_var
        self.obsm = obsm
        self.batch_key = batch_key
        self._batches: SourceBatches | None = None

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"path": self.path} if isinstance(self.path, Path) else {}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (len(self.feature_names),)

    @property
    def feature_names(self) -> Sequence[str]:
        learned = self.ensure_learned()
        return learned.column_names if isinstance(learned, ObsmMatrix) else learned.kept_genes

    @property
    def source_batches(self) -> SourceBatches | None:
        if self.batch_key is not None:
            self.training_samples()
        return self._batches

    def restore(self, state: dict[str, Any]) -> GeneSelection | ObsmMatrix:
        return ObsmMatrix(**state) if "obsm" in state else GeneSelection(**state)

    def annotate(self, final: Assigned) -> None:
        """Put the clusters of a fit into the AnnData in memory that this DataModule was made of.

        ``obs['cluster']`` becomes a category, ``obs['cluster_confidence']`` the confidence of soft clusters, and
        ``obsm['X_lightning_dc']`` the embedding. Cells that are held out have no cluster.

        Args:
            final: clusters of the training cells, ``model.final``.

        Raises:
            InputError: the cells are in a file, their number has changed, or ``label`` or ``batch_key`` is a column of
                the name that the clusters have.
        """
        if isinstance(self.path, Path):
            raise InputError(
                f"{self.path}: is a file, which stays as it is; set annotated.file_name to write a copy with the "
                "clusters, or make the AnnDataModule of AnnData in memory"
            )
        annotate(self.path, self._annotation(final), (self.label, self.batch_key))

    def annotated_endings(self) -> Sequence[str]:
        """Return the ending of a copy of the cells with the clusters."""
        return (".h5ad",)

    def write_annotated(self, path: Path, ending: str, final: Assigned) -> None:
        """Write a copy of the cells with a cluster for each training cell."""
        write = write_annotated_file if isinstance(self.path, Path) else write_annotated_memory
        write(self.path, path, self._annotation(final))

    def load(self) -> Samples:
        data = read_cells(self.path)
        cells = self._names(data.obs_names, "cell")
        y = None
        if self.label is not None and (self.learned is None or self.label in data.obs):  # new cells need no labels
            y = self._labels(data.obs)
        if self.batch_key is not None and (self.learned is None or self.batch_key in data.obs):
            self._batches = batches_of(data.obs, self.batch_key, self._name)
        elif self.learned is None:
            tell_of_batches(data.obs, self.label, self._name)
        if self.learned is None and self.obsm is not None:
            self.learned = ObsmMatrix.learn(data, self.obsm, self._name)
        if isinstance(self.learned, ObsmMatrix):
            return Samples(self.learned.read(data, self._name), y, ids=cells)
        return Samples(self._expression(data), y, ids=cells)

    @property
    def _name(self) -> str:
        """Name of the cells in messages."""
        return str(self.path) if isinstance(self.path, Path) else "the AnnData"

    def _annotation(self, final: Assigned) -> Annotation:
        n_cells = len(self.training_samples().x)
        return Annotation.of(final, self.training_rows(n_cells), n_cells)

    def _expression(self, data: Any) -> csr_array[Any]:
        """Return the normalised expression of the genes that are kept, which are chosen if none were before."""
        genes = self._names(data.var_names, "gene")
        counts = self._counts(data)
        if self.learned is None:
            self.learned = self._choose(data, counts, genes)
        assert isinstance(self.learned, GeneSelection)
        position = {gene: i for i, gene in enumerate(genes)}
        missing = [gene for gene in self.learned.genes if gene not in position]
        if missing:
            raise InputError(
                f"{self._name}: lacks the genes {quote_first(missing)}, which the training data had; add them"
            )
        order = [position[gene] for gene in self.learned.genes]
        return self.learned(counts if order == list(range(len(genes))) else counts[:, order])

    def _choose(self, data: Any, counts: csr_array[Any], genes: Sequence[str]) -> GeneSelection:
        """Choose the genes that are kept."""
        if self.mask_var is not None:
            return GeneSelection(genes, self._masked(data.var), self.target_sum, self.log1p)
        rows = self.training_rows(counts.shape[0])
        training = counts if rows is None else counts[rows.numpy()]
        n_top_genes = self._number_of_genes(len(genes))
        base = None if n_top_genes is None else self._log_base(data, counts)
        try:
            return GeneSelection.learn(training, genes, n_top_genes, self.target_sum, self.log1p, base)
        except InputError as error:
            raise InputError(f"{self._name}: {error}") from error

    def _number_of_genes(self, n_genes: int) -> int | None:
        """Return the number of genes that are kept; None for all."""
        if self.n_top_genes != "auto":
            return self.n_top_genes
        if n_genes >= _N_TOP_GENES:
            return _N_TOP_GENES
        tell(f"{self._name}: has {n_genes} genes, fewer than the {_N_TOP_GENES} that are kept of more; all are kept")
        return None

    def _masked(self, var: Any) -> list[int]:
        """Return the positions of the genes that the mask keeps."""
        if self.mask_var not in var:
            raise InputError(
                f"mask_var={self.mask_var!r} is no column of var in {self._name}, which has "
                f"{quote_first(list(var)) or 'none'}; set n_top_genes instead, or compute it with scanpy"
            )
        mask = var[self.mask_var].to_numpy()
        if mask.dtype.kind != "b" or not mask.any():
            raise InputError(
                f"mask_var={self.mask_var!r} of {self._name} must hold truth values, at least one of them True"
            )
        return [int(i) for i in np.flatnonzero(mask)]

    def _counts(self, data: Any) -> csr_array[Any]:
        from scipy.sparse import csr_array, issparse

        if self.layer is not None and self.layer not in data.layers:
            raise InputError(
                f"layer={self.layer!r} is no layer of {self._name}, which has {quote_first(list(data.layers))}"
            )
        matrix = data.X if self.layer is None else data.layers[self.layer]
        if matrix is None:
            raise InputError(f"{self._name}: has no X; name a layer")
        if not issparse(matrix) and np.asarray(matrix).dtype.kind not in "biuf":
            raise InputError(f"{self._name}: holds {np.asarray(matrix).dtype}, not counts; give numbers")
        try:
            counts = checked_csr(matrix) if issparse(matrix) else csr_array(matrix)
        except ValueError as error:
            raise unreadable_file(Path(self._name), error) from error
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
                f"{self._name}: holds {values[at]:g} for cell {row} and gene {int(counts.indices[at])}, which is no "
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
                f"{self._name}: {problem}, so the genes that vary most can't be found; name the layer of the counts or "
                "of their logarithms, or set n_top_genes to null"
            )
        told = data.uns.get("log1p") if self.layer is None else None
        base = log_base(x, told)
        if base is not None:
            tell(f"{self._name}: the values are logarithms (base {base:.4g}), which are undone to choose genes")
        return base

    def _names(self, names: Any, what: str) -> list[str]:
        found = [str(name) for name in names]
        if len(set(found)) < len(found):
            raise InputError(
                f"{self._name}: has more than one {what} named {Counter(found).most_common(1)[0][0]!r}; make the names "
                f"unique, as {'obs' if what == 'cell' else 'var'}_names_make_unique() does"
            )
        return found

    def _labels(self, obs: Any) -> NDArray[np.int64]:
        if self.label not in obs:
            raise InputError(
                f"label={self.label!r} is no column of obs in {self._name}, which has {quote_first(list(obs))}"
            )
        column = obs[self.label]
        missing = column.isna().to_numpy()
        values = [None if gone else str(value) for value, gone in zip(column, missing, strict=True)]
        number = {name: i for i, name in enumerate(sort_distinct(value for value in values if value is not None))}
        return np.array([UNLABELLED if value is None else number[value] for value in values])
