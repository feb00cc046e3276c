"""Loss terms."""

from lightning_dc.losses.input_sparsity import InputSparsity
from lightning_dc.losses.kl_target import KLTarget
from lightning_dc.losses.kmeans import KMeansLoss
from lightning_dc.losses.reconstruction import Reconstruction
from lightning_dc.losses.task import TaskLoss
from lightning_dc.losses.term import LossTerm

__all__ = ["InputSparsity", "KLTarget", "KMeansLoss", "LossTerm", "Reconstruction", "TaskLoss"]
