"""DataModules: one file each."""

from datamodules.array import ArrayDataModule
from datamodules.base import ClusteringDataModule, Samples
from datamodules.digits import DigitsDataModule
from datamodules.mnist import MNISTDataModule
from datamodules.reuters import ReutersDataModule
from datamodules.synthetic import SyntheticDataModule
from datamodules.table import TableDataModule

__all__ = [
    "ArrayDataModule",
    "ClusteringDataModule",
    "DigitsDataModule",
    "MNISTDataModule",
    "ReutersDataModule",
    "Samples",
    "SyntheticDataModule",
    "TableDataModule",
]
