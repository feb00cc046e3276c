"""Callbacks: when things happen."""

from lightning_dc.callbacks.assignment_refresh import AssignmentRefresh
from lightning_dc.callbacks.centroid_refresh import CentroidRefresh
from lightning_dc.callbacks.counted_centroid_update import CountedCentroidUpdate
from lightning_dc.callbacks.evidence_refresh import EvidenceRefresh
from lightning_dc.callbacks.feature_table import FeatureTable
from lightning_dc.callbacks.label_change_stop import LabelChangeStop
from lightning_dc.callbacks.loss_logger import LossLogger
from lightning_dc.callbacks.outcome_tables import OutcomeTables
from lightning_dc.callbacks.phase_scheduler import PhaseScheduler
from lightning_dc.callbacks.prediction_writer import PredictionWriter
from lightning_dc.callbacks.progress_bar import ClusteringProgressBar
from lightning_dc.callbacks.proximal_step import ProximalStep
from lightning_dc.callbacks.run_summary import RunSummary
from lightning_dc.callbacks.target_refresh import TargetDistributionRefresh

__all__ = [
    "AssignmentRefresh",
    "CentroidRefresh",
    "ClusteringProgressBar",
    "CountedCentroidUpdate",
    "EvidenceRefresh",
    "FeatureTable",
    "LabelChangeStop",
    "LossLogger",
    "OutcomeTables",
    "PhaseScheduler",
    "PredictionWriter",
    "ProximalStep",
    "RunSummary",
    "TargetDistributionRefresh",
]
