"""Loss terms."""

from lightning_dc.losses.group_sparsity import GroupSparsity
from lightning_dc.losses.kl_target import KLTarget
from lightning_dc.losses.kmeans import KMeansLoss
from lightning_dc.losses.reconstruction import Reconstruction
from lightning_dc.losses.task import TaskLoss
from lightning_dc.losses.term import LossTerm, StepQuantities

__all__ = ["GroupSparsity", "KLTarget", "KMeansLoss", "LossTerm", "Reconstruction", "StepQuantities", "TaskLoss"]
