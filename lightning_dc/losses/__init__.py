"""Loss terms."""

from lightning_dc.losses.balance import Balance
from lightning_dc.losses.conditional_entropy import ConditionalEntropy
from lightning_dc.losses.confident_labels import ConfidentLabels
from lightning_dc.losses.group_sparsity import GroupSparsity
from lightning_dc.losses.input_sparsity import InputSparsity
from lightning_dc.losses.kl_target import KLTarget
from lightning_dc.losses.kmeans import KMeansLoss
from lightning_dc.losses.locality import Locality
from lightning_dc.losses.neighbour_consistency import NeighbourConsistency
from lightning_dc.losses.reconstruction import Reconstruction
from lightning_dc.losses.sinkhorn_labels import SinkhornLabels
from lightning_dc.losses.task import TaskLoss
from lightning_dc.losses.term import LossTerm
from lightning_dc.losses.view_consistency import ViewConsistency

__all__ = [
    "Balance",
    "ConditionalEntropy",
    "ConfidentLabels",
    "GroupSparsity",
    "InputSparsity",
    "KLTarget",
    "KMeansLoss",
    "Locality",
    "LossTerm",
    "NeighbourConsistency",
    "Reconstruction",
    "SinkhornLabels",
    "TaskLoss",
    "ViewConsistency",
]
