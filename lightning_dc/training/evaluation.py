"""Metrics of validation and test."""

from __future__ import annotations

from torch import nn

from lightning_dc.batch import Batch
from lightning_dc.metrics import AssignmentStatistics, ClusterAgreement, TaskScores
from lightning_dc.model import ClusteringModel


class Evaluation(nn.Module):
    """Metrics of the assignments of a model, of their agreement with labels, and of its task.

    Args:
        n_clusters: number of clusters K.
        task_scores: scores of the supervised task; None without a task.
    """

    def __init__(self, n_clusters: int, task_scores: TaskScores | None = None) -> None:
        super().__init__()
        self.assignment_statistics = AssignmentStatistics(n_clusters)
        self.agreement = ClusterAgreement()
        self.task_scores = task_scores

    def names(self, *, labelled: bool) -> list[str]:
        """Return the names of all metrics, of which a phase without clusters has those of the task alone.

        Args:
            labelled: whether the samples have labels.
        """
        task = () if self.task_scores is None else self.task_scores.names
        return [*self.assignment_statistics.names, *(self.agreement.names if labelled else ()), *task]

    def update(self, model: ClusteringModel, batch: Batch, *, has_clusters: bool) -> None:
        """Evaluate a batch.

        Args:
            model: the model.
            batch: the batch.
            has_clusters: whether the assignments of the model have a meaning yet.
        """
        encoded = model.encode(batch.x)
        if has_clusters:
            q = model.head(encoded.z.to(model.wide_dtype))
            self.assignment_statistics.update(q)
            if batch.y is not None:
                self.agreement.update(q.argmax(1), batch.y)
        if self.task_scores is not None and batch.targets is not None:
            self.task_scores.update(model.predict_task(encoded.features), batch.targets)

    def take(self, *, has_clusters: bool) -> dict[str, float]:
        """Return the values of all batches since the last call, by name.

        Args:
            has_clusters: whether the assignments of the model have a meaning yet.
        """
        values = self.assignment_statistics.compute() if has_clusters else {}
        if has_clusters and self.agreement.is_labelled:
            values |= self.agreement.compute()
        if self.task_scores is not None and self.task_scores.is_supervised:
            values |= self.task_scores.compute()
        for metric in (self.assignment_statistics, self.agreement, self.task_scores):
            if metric is not None:
                metric.reset()
        return values
