"""DataModules: one file each."""

from datamodules.array import ArrayDataModule
from datamodules.base import ClusteringDataModule, Samples
from datamodules.breast_cancer import BreastCancerDataModule
from datamodules.breast_cancer_survival import BreastCancerSurvivalDataModule
from datamodules.digits import DigitsDataModule
from datamodules.mnist import MNISTDataModule
from datamodules.reuters import ReutersDataModule
from datamodules.synthetic import SyntheticDataModule

__all__ = [
    "ArrayDataModule",
    "BreastCancerDataModule",
    "BreastCancerSurvivalDataModule",
    "ClusteringDataModule",
    "DigitsDataModule",
    "MNISTDataModule",
    "ReutersDataModule",
    "Samples",
    "SyntheticDataModule",
]
