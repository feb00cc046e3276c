"""Tests of the gene expression data of scikit-survival."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sksurv.datasets import load_breast_cancer

from datamodules import BreastCancerSurvivalDataModule
from lightning_dc import InputError


def test_samples_are_those_of_scikit_survival() -> None:
    data = BreastCancerSurvivalDataModule(scaling="none")
    data.setup("fit")
    batch = data.train_dataloader().read(0, 5000)
    frame, outcome = load_breast_cancer()
    x = dict(zip(data.feature_names, batch.x.numpy().T, strict=True))
    assert data.input_shape == batch.x.shape[1:] == (76 + 2 + 2 + 3,)
    for name in frame.columns.drop(["er", "grade"]):
        np.testing.assert_allclose(x[name], frame[name], rtol=1e-6)
    for name, column in x.items():
        source, equals, category = name.partition("=")
        if equals:
            np.testing.assert_array_equal(column, frame[source] == category)
    np.testing.assert_array_equal(batch.targets[:, 0].numpy(), outcome["t.tdm"])
    np.testing.assert_array_equal(batch.targets[:, 1].numpy(), outcome["e.tdm"])
    assert int(batch.targets[:, 1].sum()) == 51
    assert batch.y is None


def test_categories_of_a_column_are_one_group() -> None:
    data = BreastCancerSurvivalDataModule()
    groups = [[data.feature_names[i] for i in group] for group in data.feature_groups]
    assert groups[-2] == ["er=negative", "er=positive"]
    assert groups[-1] == [f"grade={name}" for name in ("well differentiated", "intermediate", "poorly differentiated")]
    assert [len(group) for group in groups[:-2]] == [1] * 78
    assert sorted(i for group in data.feature_groups for i in group) == list(range(83))


def test_genes_alone() -> None:
    data = BreastCancerSurvivalDataModule(clinical=False)
    data.setup("fit")
    assert data.train_dataloader().read(0, 1).x.shape == (1, 76)
    assert data.input_shape == (76,)
    assert all(name.endswith("_at") for name in data.feature_names)
    assert data.feature_groups == [[i] for i in range(76)]


def test_without_scikit_survival_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sksurv.datasets", None)
    with pytest.raises(InputError, match=r"pip install 'lightning-dc\[survival\]'"):
        BreastCancerSurvivalDataModule().setup("fit")
