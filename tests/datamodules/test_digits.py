"""Tests of the digits of scikit-learn."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from datamodules import DigitsDataModule


def test_samples_are_sklearns() -> None:
    data = DigitsDataModule(scaling="none")
    data.setup("fit")
    batch = data.train_dataloader().read(0, 5000)
    images, classes = load_digits(return_X_y=True)
    np.testing.assert_array_equal(batch.x.numpy(), images.reshape(-1, 1, 8, 8))
    np.testing.assert_array_equal(batch.y.numpy(), classes)
    assert batch.x.dtype == torch.float32
    assert data.input_shape == batch.x.shape[1:]


def test_labels_can_be_left_out() -> None:
    data = DigitsDataModule(labels=False)
    assert data.load().y is None
    assert data.train_dataloader().read(0, 5).y is None
