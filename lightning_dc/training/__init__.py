"""Training: a module with phases, the quantities of a step, and passes over the training set."""

from lightning_dc.training.centroids import place_centroids
from lightning_dc.training.checkpoint import read_checkpoint
from lightning_dc.training.checks import join_losses
from lightning_dc.training.final import FinalReader, final_assignment
from lightning_dc.training.finite import check_finite_embeddings, check_finite_parameters
from lightning_dc.training.full_pass import (
    LARGE_TABLE,
    assign_all,
    embed_batch,
    embed_chunks,
    embed_owned,
    embed_rows,
    read_owned,
    read_rows,
    read_targets,
    sample_chunks,
    share_buffers,
)
from lightning_dc.training.head_fit import HeadFit, head_fit
from lightning_dc.training.loader import training_loader
from lightning_dc.training.module import ClusteringModule, clustering_module
from lightning_dc.training.phase import Phase, PhaseConfig
from lightning_dc.training.plateau import Plateau
from lightning_dc.training.quantity import Quantity, quantity
from lightning_dc.training.record import record, record_figure
from lightning_dc.training.state import Assignments, FullAssignment, Neighbours, RunState, TargetDistribution
from lightning_dc.training.step import TrainingStep

__all__ = [
    "LARGE_TABLE",
    "Assignments",
    "ClusteringModule",
    "FinalReader",
    "FullAssignment",
    "HeadFit",
    "Neighbours",
    "Phase",
    "PhaseConfig",
    "Plateau",
    "Quantity",
    "RunState",
    "TargetDistribution",
    "TrainingStep",
    "assign_all",
    "check_finite_embeddings",
    "check_finite_parameters",
    "clustering_module",
    "embed_batch",
    "embed_chunks",
    "embed_owned",
    "embed_rows",
    "final_assignment",
    "head_fit",
    "join_losses",
    "place_centroids",
    "quantity",
    "read_checkpoint",
    "read_owned",
    "read_rows",
    "read_targets",
    "record",
    "record_figure",
    "sample_chunks",
    "share_buffers",
    "training_loader",
]
