"""Metrics of clusterings and supervised tasks, summed over batches and processes."""

from lightning_dc.metrics.assignment_statistics import AssignmentStatistics
from lightning_dc.metrics.cluster_agreement import ClusterAgreement
from lightning_dc.metrics.task_scores import TaskScores

__all__ = ["AssignmentStatistics", "ClusterAgreement", "TaskScores"]
