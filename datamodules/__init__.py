"""DataModules: one file each."""

from datamodules.array import ArrayDataModule
from datamodules.base import ClusteringDataModule, Samples
from datamodules.breast_cancer import BreastCancerDataModule
from datamodules.breast_cancer_survival import BreastCancerSurvivalDataModule
from datamodules.digits import DigitsDataModule
from datamodules.file_rows import FileRows
from datamodules.h5ad import AnnDataModule
from datamodules.image_folder import ImageFolderDataModule
from datamodules.mnist import MNISTDataModule
from datamodules.parquet import ParquetDataModule
from datamodules.reuters import ReutersDataModule
from datamodules.synthetic import SyntheticDataModule
from datamodules.table import TableDataModule
from datamodules.text import TextDataModule

__all__ = [
    "AnnDataModule",
    "ArrayDataModule",
    "BreastCancerDataModule",
    "BreastCancerSurvivalDataModule",
    "ClusteringDataModule",
    "DigitsDataModule",
    "FileRows",
    "ImageFolderDataModule",
    "MNISTDataModule",
    "ParquetDataModule",
    "ReutersDataModule",
    "Samples",
    "SyntheticDataModule",
    "TableDataModule",
    "TextDataModule",
]
