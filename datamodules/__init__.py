"""DataModules, each in a file or folder of its own."""

from datamodules.array import ArrayDataModule
from datamodules.base import ClusteringDataModule
from datamodules.breast_cancer import BreastCancerDataModule
from datamodules.breast_cancer_survival import BreastCancerSurvivalDataModule
from datamodules.cells.h5ad import AnnDataModule
from datamodules.digits import DigitsDataModule
from datamodules.image_folder import ImageFolderDataModule
from datamodules.loading.file_rows import FileRows
from datamodules.loading.samples import Samples
from datamodules.mnist import MNISTDataModule
from datamodules.parquet.parquet import ParquetDataModule
from datamodules.reuters.reuters import ReutersDataModule
from datamodules.synthetic import SyntheticDataModule
from datamodules.tables.table import TableDataModule
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
