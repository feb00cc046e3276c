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
    training_loader,
)
from lightning_dc.training.input_statistics import InputSelector, InputStatistics, input_statistics
from lightning_dc.training.module import ClusteringModule
from lightning_dc.training.phase import PARTS, Phase, PhaseConfig
from lightning_dc.training.record import record, record_figure
from lightning_dc.training.step import SupervisedStep, TrainingStep
from lightning_dc.training.target import Assignments, TargetDistribution, TargetPredictor
from lightning_dc.training.top_terms import TopTerm, top_terms

__all__ = [
    "LARGE_TABLE",
    "PARTS",
    "Assignments",
    "ClusteringModule",
    "FullAssignment",
    "InputSelector",
    "InputStatistics",
    "Phase",
    "PhaseConfig",
    "SupervisedStep",
    "TargetDistribution",
    "TargetPredictor",
    "TopTerm",
    "TrainingStep",
    "assign_all",
    "centroid_head",
    "embed_batch",
    "embed_chunks",
    "embed_owned",
    "input_statistics",
    "predict_all",
    "read_checkpoint",
    "read_owned",
    "record",
    "record_figure",
    "sample_chunks",
    "top_terms",
    "training_loader",
]
