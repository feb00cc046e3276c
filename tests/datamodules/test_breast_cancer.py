"""Tests of the breast cancer table of scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from datamodules import BreastCancerDataModule


def test_samples_are_sklearns_scaled_by_feature() -> None:
    data = BreastCancerDataModule()
    data.setup("fit")
    batch = data.train_dataloader().read(0, 5000)
    table = load_breast_cancer()
    np.testing.assert_allclose(batch.x.numpy(), StandardScaler().fit_transform(table.data), atol=1e-5)
    np.testing.assert_array_equal(batch.targets.numpy(), table.target)
    np.testing.assert_array_equal(batch.y.numpy(), table.target)
    assert data.input_shape == batch.x.shape[1:]


def test_names() -> None:
    data = BreastCancerDataModule()
    assert data.target_spec.names == ("malignant", "benign")
    assert data.feature_names[:2] == ["mean radius", "mean texture"]
    assert len(data.feature_names) == 30
    assert data.feature_groups is None
