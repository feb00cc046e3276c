"""Table of the texts that stand for each cluster."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.batch import DataDescription
from lightning_dc.errors import InputError
from lightning_dc.files import check_ending, whole_csv
from lightning_dc.heads import CentroidHead
from lightning_dc.reports.report import Report
from lightning_dc.training import ClusteringModule, FullAssignment, training_loader
from lightning_dc.training.sink import Sink


class DocumentTable(Report):
    """Report that writes the texts that stand for each cluster, if the data have texts.

    They are those of the largest confidence, or of hard clusters those nearest to the centroid. The columns are
    cluster, rank, index (row of the source), ``confidence`` or ``distance``, and text.

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
            badness = -confidence if head.is_soft else torch.zeros_like(confidence)
            if not head.is_soft and isinstance(head, CentroidHead):
                badness = (z - head.centroids.detach().to(z)[cluster]).norm(dim=1)
            place = np.arange(rows.start, rows.start + len(q))
            own = _Best(cluster.cpu().numpy(), badness.double().cpu().numpy(), place)
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
            for rank, cluster, badness, place in zip(best.ranks().tolist(), *best, strict=True):
                row = int(source_rows[place])
                writer.writerow([cluster, rank, row, f"{abs(badness):.6g}", documents.texts[row]])

    def _has_documents(self, data: DataDescription) -> bool:
        return self.file_name is not None and data.documents is not None


class _Best(NamedTuple):
    """Samples that stand for the clusters, ordered by cluster, badness and place.

    Attributes:
        cluster: cluster of each of them, (n,).
        badness: what is small where a sample stands for its cluster, (n,).
        place: index of each of them, (n,).
    """

    cluster: NDArray[np.int64]
    badness: NDArray[np.float64]
    place: NDArray[np.int64]

    @classmethod
    def none(cls) -> _Best:
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))

    def joined(self, others: _Best, n_best: int) -> _Best:
        """Return the best ``n_best`` samples of each cluster among these and others."""
        cluster, badness, place = (np.concatenate(pair) for pair in zip(self, others, strict=True))
        order = np.lexsort((place, badness, cluster))
        kept = order[_Best(cluster[order], badness[order], place[order]).ranks() <= n_best]
        return _Best(cluster[kept], badness[kept], place[kept])

    def ranks(self) -> NDArray[np.int64]:
        """Return the rank of each sample in its cluster, (n,), from 1."""
        first = np.searchsorted(self.cluster, self.cluster, side="left")
        return np.arange(1, len(first) + 1) - first
