"""The training machinery that all methods share."""

from lightning_dc.training.centroids import centroid_head
from lightning_dc.training.full_pass import (
    FullAssignment,
    assign_all,
    embed_batch,
    embed_owned,
    predict_all,
    read_owned,
    training_loader,
)
from lightning_dc.training.module import ClusteringModule
from lightning_dc.training.phase import PARTS, Phase, PhaseConfig
from lightning_dc.training.record import record, record_figure
from lightning_dc.training.step import SupervisedStep, TrainingStep
from lightning_dc.training.target import Assignments, TargetDistribution, TargetPredictor

__all__ = [
    "PARTS",
    "Assignments",
    "ClusteringModule",
    "FullAssignment",
    "Phase",
    "PhaseConfig",
    "SupervisedStep",
    "TargetDistribution",
    "TargetPredictor",
    "TrainingStep",
    "assign_all",
    "centroid_head",
    "embed_batch",
    "embed_owned",
    "predict_all",
    "read_owned",
    "record",
    "record_figure",
    "training_loader",
]
