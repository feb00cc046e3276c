"""Callbacks, which decide when the parts of a method act during a fit."""

from lightning_dc.callbacks.assignment_refresh import AssignmentRefresh
from lightning_dc.callbacks.centroid_refresh import CentroidRefresh
from lightning_dc.callbacks.component_fit import ComponentFit
from lightning_dc.callbacks.counted_centroid_update import CountedCentroidUpdate
from lightning_dc.callbacks.even_batches import EvenBatches
from lightning_dc.callbacks.evidence_refresh import EvidenceRefresh
from lightning_dc.callbacks.head_choice import HeadChoice
from lightning_dc.callbacks.label_change_stop import LabelChangeStop
from lightning_dc.callbacks.loss_logger import LossLogger
from lightning_dc.callbacks.mixture_refresh import MixtureRefresh
from lightning_dc.callbacks.neighbour_refresh import NeighbourRefresh
from lightning_dc.callbacks.phase_scheduler import PhaseScheduler
from lightning_dc.callbacks.prototype_refresh import PrototypeRefresh
from lightning_dc.callbacks.proximal_step import ProximalStep
from lightning_dc.callbacks.target_distribution_refresh import TargetDistributionRefresh

__all__ = [
    "AssignmentRefresh",
    "CentroidRefresh",
    "ComponentFit",
    "CountedCentroidUpdate",
    "EvenBatches",
    "EvidenceRefresh",
    "HeadChoice",
    "LabelChangeStop",
    "LossLogger",
    "MixtureRefresh",
    "NeighbourRefresh",
    "PhaseScheduler",
    "PrototypeRefresh",
    "ProximalStep",
    "TargetDistributionRefresh",
]
