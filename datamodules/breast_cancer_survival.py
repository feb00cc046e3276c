"""DataModule of the gene expression of breast cancer patients and their survival."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from datamodules.base import ClusteringDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from lightning_dc.batch import TargetSpec
from lightning_dc.errors import InputError

_CATEGORIES = {
    "er": ("negative", "positive"),
    "grade": ("well differentiated", "intermediate", "poorly differentiated"),
}
_NUMBERS = ("age", "size")


class BreastCancerSurvivalDataModule(ClusteringDataModule):
    """198 patients of the TRANSBIG study (GSE7390; Desmedt et al. 2007, https://doi.org/10.1158/1078-0432.CCR-06-2765).

    Inputs are the log expression of the 76 genes of a prognostic signature, age (years), tumour size (cm), and estrogen
    receptor and grade, which are one-hot (two patients without a grade have zeros). The target is the time to distant
    metastasis in days; 51 patients had one. The data come with scikit-survival: pip install 'lightning-dc[survival]'.

    Args:
        clinical: use age, size, receptor and grade as inputs, too; False uses the genes alone.
        batch_size: number of samples in a training batch, over all processes. Risk sets are within a batch.
        scaling: see :class:`~datamodules.ClusteringDataModule`.
        val_fraction: share of the samples that is held out for validation.
        keep_on_device: hold the samples on the accelerator.

    Raises:
        InputError: scikit-survival is not installed.
    """

    def __init__(
        self,
        clinical: bool = True,
        batch_size: int = 256,
        scaling: ScalingName = "standard",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)
        self.clinical = clinical

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (len(self.feature_names),)

    @property
    def target_spec(self) -> TargetSpec:
        return TargetSpec("survival", ("time", "event"))

    @property
    def feature_names(self) -> list[str]:
        one_hot = [f"{name}={category}" for name, categories in _CATEGORIES.items() for category in categories]
        return [*self._numbers, *one_hot] if self.clinical else self._numbers

    @property
    def feature_groups(self) -> list[list[int]]:
        """Groups of inputs: each numeric input is a group, and so are the categories of each column."""
        groups = [[i] for i in range(len(self._numbers))]
        for categories in _CATEGORIES.values() if self.clinical else ():
            start = groups[-1][-1] + 1
            groups.append(list(range(start, start + len(categories))))
        return groups

    def load(self) -> Samples:
        frame, outcome = self._table
        columns = [frame[name] for name in self._numbers]
        if self.clinical:
            columns += [frame[name] == category for name, categories in _CATEGORIES.items() for category in categories]
        return Samples(
            np.column_stack(columns).astype(np.float32),
            targets=np.column_stack([outcome["t.tdm"], outcome["e.tdm"]]).astype(np.float64),
        )

    @property
    def _numbers(self) -> list[str]:
        genes = [name for name in self._table[0].columns if name not in (*_NUMBERS, *_CATEGORIES)]
        return [*genes, *_NUMBERS] if self.clinical else genes

    @cached_property
    def _table(self) -> Any:
        try:
            from sksurv.datasets import load_breast_cancer
        except ImportError as error:
            raise InputError(
                f"{type(self).__name__} needs scikit-survival, which ships the data; run pip install "
                "'lightning-dc[survival]'"
            ) from error
        return load_breast_cancer()
