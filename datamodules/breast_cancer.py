"""DataModule of scikit-learn's breast cancer table."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from datamodules.base import ClusteringDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from lightning_dc.batch import TargetSpec


class BreastCancerDataModule(ClusteringDataModule):
    """The Wisconsin diagnostic breast cancer table, which comes with scikit-learn and needs no download.

    It has 569 tumours with 30 features of the nuclei of their cells. The target is the class ``malignant`` or
    ``benign`` of the tumour (Street et al. 1993, https://doi.org/10.24432/C5DW2B).

    Args:
        batch_size: number of samples in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; features differ in scale by a factor of 10,000.
        val_fraction: share of the samples that is held out for validation.
        keep_on_device: hold the samples on the accelerator.
    """

    def __init__(
        self,
        batch_size: int = 64,
        scaling: ScalingName = "standard",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (30,)

    @property
    def target_spec(self) -> TargetSpec:
        return TargetSpec("class", tuple(map(str, self._table.target_names)))

    @property
    def feature_names(self) -> list[str]:
        return list(map(str, self._table.feature_names))

    def load(self) -> Samples:
        return Samples(self._table.data, targets=self._table.target)

    @cached_property
    def _table(self) -> Any:
        from sklearn.datasets import load_breast_cancer

        return load_breast_cancer()
