"""The end of a fit: clusters in a file, figures in a table."""

from __future__ import annotations

import csv
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_dc.batch import DataDescription, SampleLoader
from lightning_dc.callbacks.phase_scheduler import PhaseScheduler
from lightning_dc.distributed import failing_together
from lightning_dc.errors import InputError
from lightning_dc.functional import contingency_table, match_clusters
from lightning_dc.reports.files import check_ending, whole_csv
from lightning_dc.reports.predictions import prediction_stream, write_predictions
from lightning_dc.reports.reclustering import Algorithm, check_algorithms, recluster, sample_size
from lightning_dc.reports.top_terms import TopTerm, top_terms
from lightning_dc.training import (
    ClusteringModule,
    FullAssignment,
    assign_all,
    clustering_module,
    record,
    training_loader,
)

_MOST_ROWS = 50  # of clusters, in the table
_Rows = list[tuple[str, Any]]


class RunSummary(Callback):
    """Assigns the training set with the final model, writes the clusters, and prints a table of the run.

    The final embeddings can be clustered again by other algorithms: their labels become columns of the file, named
    ``cluster_`` and the algorithm, and their scores follow those of the model. They are of the training samples alone:
    ``predict`` gives the model's own clusters, for which ``AEKMeans`` keeps centroids of a last k-means.

    Where the inputs are terms of texts, the top terms of a cluster, those with the largest difference between the mean
    in the cluster and in the rest, are in the table and in ``terms.csv``.

    Args:
        file_name: file of the clusters in the run's folder, ``.parquet`` or ``.npz``.
        recluster: algorithms to cluster the final embeddings by: ``kmeans``, ``gaussian_mixture``, ``agglomerative``,
            ``hdbscan``, ``spectral``. Of more than 10,000 samples agglomerative and spectral clustering see as many,
            HDBSCAN of more than 100,000; the others follow their nearest neighbours. They need all embeddings and soft
            assignments in memory; without them, the clusters are written in pieces.
        embedding: write the embeddings, too.
        n_terms: most terms of a cluster; 0 leaves them out.

    Raises:
        InputError: another ending, an unknown algorithm, a number below 0, or names that are not one a feature.
    """

    def __init__(
        self,
        file_name: str = "clusters.parquet",
        recluster: Algorithm | Sequence[Algorithm] = (),
        embedding: bool = True,
        n_terms: int = 10,
    ) -> None:
        check_ending(file_name, "summary.file_name")
        self.file_name = file_name
        self.recluster: Sequence[Algorithm] = [recluster] if isinstance(recluster, str) else recluster
        self.embedding = embedding
        check_algorithms(self.recluster)
        if n_terms < 0:
            raise InputError(f"summary.n_terms={n_terms} must not be negative")
        self.n_terms = n_terms

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        names, shape = _feature_names(trainer), clustering_module(pl_module).autoencoder.input_shape
        if names is not None and len(names) != math.prod(shape):  # now, not after the run
            raise InputError(f"feature_names has {len(names)} names, but a sample has {math.prod(shape)} features")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        if module.assignments is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            if trainer.is_global_zero:
                print(f"\nTraining has stopped in phase {module.phase.name!r}, before there were clusters")
            return
        loader = training_loader(module)
        folder = trainer.log_dir  # on every rank: it is a broadcast
        path = None if folder is None or not trainer.is_global_zero else Path(folder) / self.file_name
        full = self._assign(module, loader, path)
        scores = full.scores()
        record(module, {f"final/{name}": score for name, score in scores.items()})
        terms = self._terms(trainer, module, full)
        with failing_together(module.device):
            if path is not None:
                rows: _Rows = [(name.upper(), f"{score:.4f}") for name, score in scores.items()]
                self._report(trainer, module, full, rows, terms, path)

    def _report(
        self,
        trainer: pl.Trainer,
        module: ClusteringModule,
        full: FullAssignment,
        rows: _Rows,
        terms: list[TopTerm],
        path: Path,
    ) -> None:
        again, rows_again = self._cluster_again(module, full)
        if again:  # what could fail comes after the first file
            self._write(module, path, full, again)
        if terms:
            _write_terms(path.with_name("terms.csv"), terms)
        self._print(trainer, module, full, rows + rows_again + _rows_of_terms(terms), path)

    def _assign(self, module: ClusteringModule, loader: SampleLoader, path: Path | None) -> FullAssignment:
        """Assign the training set and write the clusters, on the process that has a path."""
        if len(self.recluster) > 0:  # other algorithms take the embeddings as a whole
            full = assign_all(module, loader, keep_q=True, keep_z=True)
            with failing_together(module.device):
                if path is not None:
                    self._write(module, path, full)
            return full
        ids = loader.ids
        with ExitStack() as stack:

            @functools.cache  # where it fails, the other processes are told: within the sink
            def stream(path: Path) -> Callable[..., None]:
                return stack.enter_context(prediction_stream(path, is_soft=module.head.is_soft))

            def sink(rows: slice, q: Tensor, z: Tensor) -> None:
                if path is not None:
                    own_ids = None if ids is None else ids[rows]
                    stream(path)(loader.source_rows[rows], z if self.embedding else None, q, ids=own_ids)

            full = assign_all(module, loader, sink=sink)
            with failing_together(module.device):
                stack.close()  # the end of the file
            return full

    def _write(
        self,
        module: ClusteringModule,
        path: Path,
        full: FullAssignment,
        others: Mapping[str, Tensor] | None = None,
    ) -> None:
        assert full.q is not None
        loader = training_loader(module)
        z = full.z if self.embedding else None
        is_soft, ids = module.head.is_soft, loader.ids
        write_predictions(path, loader.source_rows, z, full.q, is_soft=is_soft, others=others, ids=ids)

    def _terms(self, trainer: pl.Trainer, module: ClusteringModule, full: FullAssignment) -> list[TopTerm]:
        names, data = _feature_names(trainer), DataDescription.of(trainer.datamodule)  # type: ignore[attr-defined]
        if names is None or self.n_terms == 0 or not data.has_terms:
            return []
        return top_terms(training_loader(module), full.labels, module.head.n_clusters, names, self.n_terms)

    def _cluster_again(self, module: ClusteringModule, full: FullAssignment) -> tuple[dict[str, Tensor], _Rows]:
        """Labels and rows of the table for each further algorithm."""
        columns: dict[str, Tensor] = {}
        rows: _Rows = []
        n_clusters, own = module.head.n_clusters, full.labels.cpu()
        for algorithm in self.recluster:
            assert full.z is not None
            rank_zero_info(f"Clustering the embeddings again: {algorithm}")
            start = time.perf_counter()
            try:
                labels = recluster(full.z, n_clusters, algorithm, seed=module.seed % (1 << 32))
            except Exception as error:  # the run itself has gone well: its table must come
                rows.append((f"again: {algorithm}", f"failed: {type(error).__name__}: {error}"[:100]))
                continue
            if int(labels.min()) >= 0 and int(labels.max()) < n_clusters:  # a cluster keeps its number
                table = contingency_table(own, labels, n_clusters, n_clusters)
                labels = match_clusters(table).argsort()[labels]
            scores = full.scores(labels)
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

    def _print(
        self, trainer: pl.Trainer, module: ClusteringModule, full: FullAssignment, rows: _Rows, path: Path
    ) -> None:
        from tabulate import tabulate

        if module.head.is_soft:
            rows.append(("entropy", f"{float(full.entropy):.4f} nats"))
        if module.assignments is not None and module.assignments.changed is not None:
            rows.append(("labels changed", f"{module.assignments.changed:.3%} at the last refresh"))
        rows += module.summary_rows()
        rows.append(("cluster sizes", _fold(torch.bincount(full.labels, minlength=module.head.n_clusters).tolist())))
        if not module.phases_over:
            rows.append(("stopped early", f"in phase {module.phase.name!r}"))
        scheduler = next(
            callback
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, PhaseScheduler)
        )
        rows += [(f"seconds {name}", f"{seconds:.1f}") for name, seconds in scheduler.seconds.items()]
        rows.append(("seconds in all", f"{sum(scheduler.seconds.values()):.1f}"))
        rows.append(("clusters", path))
        checkpoint = trainer.checkpoint_callback
        if isinstance(checkpoint, ModelCheckpoint):
            rows.append(("checkpoint", checkpoint.last_model_path or checkpoint.best_model_path))
        rows.append(("TensorBoard", f"tensorboard --logdir {path.parent}"))
        print("\n" + tabulate(rows, tablefmt="simple_outline", disable_numparse=True) + "\n")


def _feature_names(trainer: pl.Trainer) -> Sequence[str] | None:
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    return DataDescription.of(datamodule).feature_names


def _write_terms(path: Path, terms: Sequence[TopTerm]) -> None:
    with whole_csv(path) as file:
        writer = csv.writer(file)
        writer.writerow(TopTerm._fields)
        writer.writerows(terms)


def _rows_of_terms(terms: Sequence[TopTerm]) -> _Rows:
    of_clusters = [(cluster, list(found)) for cluster, found in itertools.groupby(terms, lambda term: term.cluster)]
    if len(of_clusters) > _MOST_ROWS:  # the file has them all
        return []
    return [(f"terms of {cluster}", _fold([term.term for term in found])) for cluster, found in of_clusters]


def _fold(words: Iterable[object], width: int = 60) -> str:
    lines = [""]
    for word in map(str, words):
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
