"""Table of the texts that stand for each cluster."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.batch import DataDescription
from lightning_dc.errors import InputError
from lightning_dc.files import check_ending, whole_csv
from lightning_dc.reports.report import Report
from lightning_dc.training import ClusteringModule, FullAssignment, training_loader
from lightning_dc.training.sink import Sink


class DocumentTable(Report):
    """Report that writes the texts that stand for each cluster, if the data have texts.

    They are those of the largest confidence and, of equal confidence or of hard clusters, those nearest to the centroid
    or to a prototype of their cluster. The columns are cluster, rank, index (row of the source), ``confidence`` of soft
    clusters or ``distance`` of hard ones, and text.

    Args:
        file_name: file in the run's folder, ``.csv``; None leaves it out.
        n_documents: largest number of texts of a cluster.

    Raises:
        InputError: the file has another ending, or ``n_documents`` is not positive.
    """

    def __init__(self, file_name: str | None = "documents.csv", n_documents: int = 10) -> None:
        if file_name is not None:
            check_ending(file_name, "documents.file_name", [".csv"])
        if n_documents < 1:
            raise InputError(f"documents.n_documents={n_documents} must be at least 1; file_name=null leaves them out")
        self.file_name = file_name
        self.n_documents = n_documents
        self._best = _Best.none()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._best = _Best.none()

    def applies(self, module: ClusteringModule) -> bool:
        return self._has_documents(module.data_description)

    def sink(self, module: ClusteringModule) -> Sink | None:
        """Return a function that keeps the best samples of each cluster."""
        if not self._has_documents(module.data_description):
            return None
        head = module.model.head

        def keep(rows: slice, q: Tensor, z: Tensor) -> None:
            confidence, cluster = q.max(1)
            distance = head.distances(z, cluster)
            distance = torch.full_like(confidence, torch.nan) if distance is None else distance
            place = np.arange(rows.start, rows.start + len(q))
            own = _Best(
                cluster.cpu().numpy(), confidence.double().cpu().numpy(), distance.double().cpu().numpy(), place
            )
            self._best = self._best.joined(own, self.n_documents)

        return keep

    def write(self, module: ClusteringModule, final: FullAssignment, collected: None, folder: Path | None) -> None:
        documents = module.data_description.documents
        if folder is None or self.file_name is None or documents is None:
            return
        best, source_rows = self._best, training_loader(module).source_rows.numpy()
        is_soft = module.model.head.is_soft
        with whole_csv(folder / self.file_name) as file:
            writer = csv.writer(file)
            writer.writerow(["cluster", "rank", "index", "confidence" if is_soft else "distance", "text"])
            for rank, cluster, confidence, distance, place in zip(best.ranks().tolist(), *best, strict=True):
                row, value = int(source_rows[place]), confidence if is_soft else distance
                shown = "" if np.isnan(value) else f"{value:.6g}"  # hard clusters may have no centre
                writer.writerow([cluster, rank, row, shown, documents.texts[row]])

    def _has_documents(self, data: DataDescription) -> bool:
        return self.file_name is not None and data.documents is not None


class _Best(NamedTuple):
    """Samples that stand for the clusters, ordered by cluster, confidence (the largest first), distance and place.

    Attributes:
        cluster: cluster of each of them, (n,).
        confidence: largest soft assignment of each of them, (n,); 1 of hard clusters.
        distance: distance of each of them from the centre of its cluster, (n,); NaN if clusters have no centres.
        place: index of each of them, (n,).
    """

    cluster: NDArray[np.int64]
    confidence: NDArray[np.float64]
    distance: NDArray[np.float64]
    place: NDArray[np.int64]

    @classmethod
    def none(cls) -> _Best:
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int64))

    def joined(self, others: _Best, n_best: int) -> _Best:
        """Return the best ``n_best`` samples of each cluster among these and others."""
        cluster, confidence, distance, place = (np.concatenate(pair) for pair in zip(self, others, strict=True))
        both = _Best(cluster, confidence, distance, place)
        ordered = both._at(np.lexsort((place, distance, -confidence, cluster)))
        return ordered._at(ordered.ranks() <= n_best)

    def _at(self, rows: NDArray[Any]) -> _Best:
        return _Best(self.cluster[rows], self.confidence[rows], self.distance[rows], self.place[rows])

    def ranks(self) -> NDArray[np.int64]:
        """Return the rank of each sample in its cluster, (n,), from 1."""
        first = np.searchsorted(self.cluster, self.cluster, side="left")
        return np.arange(1, len(first) + 1) - first
