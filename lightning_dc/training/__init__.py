"""The training machinery that all methods share."""

from lightning_dc.training.centroids import centroid_head
from lightning_dc.training.checkpoint import read_checkpoint
from lightning_dc.training.full_pass import (
    LARGE_TABLE,
    FullAssignment,
    assign_all,
    embed_batch,
    embed_chunks,
    embed_owned,
    predict_all,
    read_owned,
    sample_chunks,
)
from lightning_dc.training.loader import training_loader
from lightning_dc.training.module import ClusteringModule, clustering_module
from lightning_dc.training.phase import PARTS, Phase, PhaseConfig
from lightning_dc.training.record import record, record_figure
from lightning_dc.training.state import Assignments, TargetDistribution, TargetPredictor
from lightning_dc.training.step import SupervisedStep, TrainingStep

__all__ = [
    "LARGE_TABLE",
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
    "clustering_module",
    "embed_batch",
    "embed_chunks",
    "embed_owned",
    "predict_all",
    "read_checkpoint",
    "read_owned",
    "record",
    "record_figure",
    "sample_chunks",
    "training_loader",
]
