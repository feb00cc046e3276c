"""File of the clusters and closing table at the end of a fit."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_dc.distributed import failing_together
from lightning_dc.errors import InputError
from lightning_dc.files import check_ending
from lightning_dc.functional import contingency_table, match_clusters
from lightning_dc.reports.batch_effect import rows_of_batches
from lightning_dc.reports.closing_table import Rows, fold, print_notes, print_table, rows_of_terms
from lightning_dc.reports.contributor import contributors
from lightning_dc.reports.predictions import prediction_stream, write_predictions
from lightning_dc.reports.reclustering import Algorithm, check_algorithms, recluster, sample_size
from lightning_dc.reports.report import Report
from lightning_dc.reports.top_terms import TopTerm, top_terms, top_terms_of_documents, write_terms
from lightning_dc.training import (
    ClusteringModule,
    FullAssignment,
    clustering_module,
    record,
    training_loader,
)
from lightning_dc.training.sink import Sink

_TERMS = "terms.csv"


class _Collected(NamedTuple):
    """What the table needs beside the final assignment: top terms, and what other reports contribute."""

    terms: list[TopTerm]
    rows: Rows
    notes: list[str]


class RunSummary(Report):
    """Report that writes the clusters of the final model to a file, and prints a table of the run.

    The final embeddings can be clustered again by other algorithms. Their labels become columns of the file, named
    ``cluster_`` and the algorithm, and their scores follow those of the model. Such labels exist only for the training
    samples: ``predict`` gives the model's own clusters, for which ``AEKMeans`` keeps the centroids of a last k-means.

    Other reports among the callbacks may add columns to the file, rows to the table and sentences below it
    (:class:`~lightning_dc.reports.Baseline`).

    If the inputs are terms of texts, the table and ``terms.csv`` have the top terms of each cluster: those with the
    largest difference between the mean in the cluster and the mean in all other samples. If texts stand beside other
    inputs, they are those of the TF-IDF of the texts. If the data have batches of measurements, a row tells how far the
    clusters follow them.

    Args:
        file_name: file of the clusters in the run's folder, ``.parquet``, ``.npz`` or ``.csv``.
        recluster: algorithms that cluster the final embeddings again: ``kmeans``, ``gaussian_mixture``,
            ``agglomerative``, ``hdbscan``, ``spectral``. Agglomerative and spectral clustering use at most 10,000
            samples, HDBSCAN at most 100,000; all others join the cluster of their nearest neighbour. The algorithms
            need all embeddings and soft assignments in memory; without them, the clusters are written in pieces.
        embedding: whether the embeddings are written, too.
        n_terms: largest number of terms of a cluster; 0 leaves them out.

    Raises:
        InputError: the file has another ending, an algorithm is unknown, ``n_terms`` is negative, or the number of
            feature names is not that of the features.
    """

    def __init__(
        self,
        file_name: str = "clusters.parquet",
        recluster: Algorithm | Sequence[Algorithm] = (),
        embedding: bool = True,
        n_terms: int = 10,
    ) -> None:
        if Path(file_name).suffix == ".h5ad":
            raise InputError(
                f"summary.file_name={file_name!r} can't be written; annotated.file_name={file_name!r} writes a copy of "
                "the cells with their clusters"
            )
        check_ending(file_name, "summary.file_name")
        self.file_name = file_name
        self.recluster: Sequence[Algorithm] = [recluster] if isinstance(recluster, str) else recluster
        self.embedding = embedding
        check_algorithms(self.recluster)
        if n_terms < 0:
            raise InputError(f"summary.n_terms={n_terms} must not be negative")
        self.n_terms = n_terms

        self.needs_tables = len(self.recluster) > 0  # other algorithms need all embeddings
        self._path: Path | None = None
        self._columns: dict[str, Tensor] = {}  # of other reports
        self._open = ExitStack()
        self._append: Callable[..., None] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        names, n_inputs = module.data_description.feature_names, math.prod(module.model.input_shape)
        if names is not None and len(names) != n_inputs:  # checked here, before the run is made in vain
            raise InputError(f"feature_names has {len(names)} names, but a sample has {n_inputs} features")
        folder = module.run_folder
        self._path = None if folder is None or not trainer.is_global_zero else folder / self.file_name
        self._append = None

    def file_names(self) -> Sequence[str]:
        return [self.file_name, *([_TERMS] if self.n_terms else [])]

    def sink(self, module: ClusteringModule) -> Sink:
        """Return a function that writes rows to the file of clusters, with the columns of other reports."""
        self._columns = {}
        for contributor in contributors(module.trainer, module):
            self._columns |= contributor.columns(module)
        return functools.partial(self._write_rows, module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._open.__exit__(type(exception), exception, exception.__traceback__)

    def collect(self, module: ClusteringModule, final: FullAssignment) -> _Collected:
        """Close the file of clusters, log the scores, and return what the table needs beside them."""
        with failing_together():
            self._open.close()
        self._append = None
        record(module, {f"final/{name}": score for name, score in final.scores().items()})
        rows: Rows = []
        notes: list[str] = []
        for contributor in contributors(module.trainer, module):
            own_rows, own_notes = contributor.contribution(module, final)
            rows += own_rows
            notes += own_notes
        return _Collected(self._top_terms(module, final), rows, notes)

    def _top_terms(self, module: ClusteringModule, final: FullAssignment) -> list[TopTerm]:
        """Return the top terms of texts; none for other data."""
        data = module.data_description
        if self.n_terms == 0:
            return []
        loader, n_clusters = training_loader(module), module.model.head.n_clusters
        if data.has_terms and data.feature_names is not None:
            return top_terms(loader, final.labels.to(module.device), n_clusters, data.feature_names, self.n_terms)
        if data.documents is None:
            return []
        with failing_together():
            if not module.trainer.is_global_zero:
                return []
            return top_terms_of_documents(
                data.documents, loader.source_rows, final.labels.cpu(), n_clusters, self.n_terms
            )

    def write(
        self, module: ClusteringModule, final: FullAssignment, collected: _Collected, folder: Path | None
    ) -> None:
        if folder is None:
            return
        path = folder / self.file_name
        rows: Rows = [(name.upper(), f"{score:.4f}") for name, score in final.scores().items()]
        rows += rows_of_batches(module, final)
        columns, rows_again = self._cluster_again(module, final)
        if columns:  # the file exists already, in case an algorithm fails; write it again with these columns
            assert final.q is not None
            assert final.z is not None
            of_rows = _columns_of_rows(module, final.q, final.z)
            self._write_whole(module, path, final, {**self._columns, **of_rows, **columns})
        if collected.terms:
            write_terms(folder / _TERMS, collected.terms)
        rows += collected.rows + rows_again + rows_of_terms(collected.terms)
        print_table(rows + self._rows_of_run(module, final, path))
        print_notes(collected.notes)

    def _write_rows(self, module: ClusteringModule, rows: slice, q: Tensor, z: Tensor) -> None:
        """Append rows of the final assignment to the file, on the process that has a path."""
        if self._path is None:
            return
        if self._append is None:
            stream = prediction_stream(self._path, is_soft=module.model.head.is_soft)
            self._append = self._open.enter_context(stream)
        loader = training_loader(module)
        ids = None if loader.ids is None else loader.ids[rows]
        others = {name: column[rows] for name, column in self._columns.items()} | _columns_of_rows(module, q, z)
        self._append(loader.source_rows[rows], z if self.embedding else None, q, others, ids)

    def _write_whole(
        self, module: ClusteringModule, path: Path, final: FullAssignment, columns: Mapping[str, Tensor]
    ) -> None:
        """Write the whole file with further columns."""
        assert final.q is not None
        loader, is_soft = training_loader(module), module.model.head.is_soft
        z = final.z if self.embedding else None
        write_predictions(path, loader.source_rows, z, final.q, is_soft=is_soft, others=columns, ids=loader.ids)

    def _cluster_again(self, module: ClusteringModule, final: FullAssignment) -> tuple[dict[str, Tensor], Rows]:
        """Return labels, and rows of the table, of each further algorithm."""
        columns: dict[str, Tensor] = {}
        rows: Rows = []
        n_clusters, own = module.model.head.n_clusters, final.labels.cpu()
        for algorithm in self.recluster:
            assert final.z is not None
            rank_zero_info(f"Clustering the embeddings again: {algorithm}")
            start = time.perf_counter()
            try:
                labels = recluster(final.z, n_clusters, algorithm, seed=module.state.seed % (1 << 32))
            except Exception as error:  # the run itself has succeeded, so its table must still be printed
                rows.append((f"again: {algorithm}", f"failed: {type(error).__name__}: {error}"[:100]))
                continue
            if int(labels.min()) >= 0 and int(labels.max()) < n_clusters:  # number clusters as the model does
                table = contingency_table(own, labels, n_clusters, n_clusters)
                labels = match_clusters(table).argsort()[labels]
            scores = final.scores(labels)
            record(module, {f"final/{algorithm}_{name}": score for name, score in scores.items()})
            values = [f"{name.upper()} {score:.4f}" for name, score in scores.items()]
            values.append(f"{len(set(labels[labels >= 0].tolist()))} clusters")
            if bool((labels < 0).any()):
                values.append(f"{float((labels < 0).double().mean()):.1%} noise")
            if sample_size(algorithm, len(labels)) < len(labels):
                values.append(f"from {sample_size(algorithm, len(labels)):,} samples")
            values.append(f"{time.perf_counter() - start:.1f} s")
            rows.append((f"again: {algorithm}", ", ".join(values)))
            columns[f"cluster_{algorithm}"] = labels
        return columns, rows

    @staticmethod
    def _rows_of_run(module: ClusteringModule, final: FullAssignment, path: Path) -> Rows:
        """Return the rows of the table that describe the run."""
        rows: Rows = []
        state, head = module.state, module.model.head
        if head.is_soft:
            rows.append(("entropy", f"{float(final.entropy):.4f} nats"))
        if state.assignments is not None and state.assignments.changed is not None:
            rows.append(("labels changed", f"{state.assignments.changed:.3%} at the last refresh"))
        rows += module.summary_rows()
        rows.append(("cluster sizes", fold(torch.bincount(final.labels, minlength=head.n_clusters).tolist())))
        if not module.phases_over:
            rows.append(("stopped early", f"in phase {module.phase.name!r}"))
        rows += [(f"seconds {name}", f"{seconds:.1f}") for name, seconds in state.seconds.items()]
        rows.append(("seconds in all", f"{sum(state.seconds.values()):.1f}"))
        rows.append(("clusters", path))
        checkpoint = module.trainer.checkpoint_callback
        if isinstance(checkpoint, ModelCheckpoint):
            rows.append(("checkpoint", checkpoint.last_model_path or checkpoint.best_model_path))
        logs = [logger.log_dir for logger in module.trainer.loggers if isinstance(logger, TensorBoardLogger)]
        return rows + [("TensorBoard", f"tensorboard --logdir {folder}") for folder in logs]


def _columns_of_rows(module: ClusteringModule, q: Tensor, z: Tensor) -> dict[str, Tensor]:
    """Return the columns of other reports that follow from the final assignments of some rows."""
    columns: dict[str, Tensor] = {}
    for contributor in contributors(module.trainer, module):
        columns |= contributor.columns_of_rows(module, q, z)
    return columns
