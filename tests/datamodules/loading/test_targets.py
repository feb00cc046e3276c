"""Tests of targets of a supervised method, from ``load`` to a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from datamodules import ClusteringDataModule, Samples
from lightning_dc.batch import TargetSpec
from lightning_dc.errors import InputError

N_SAMPLES = 12
NAN = float("nan")
CLASS = TargetSpec("class", ["a", "b", "c"])
SURVIVAL = TargetSpec("survival", ["time", "event"])


class Supervised(ClusteringDataModule):
    """DataModule of targets that a test gives; the first input is the row's number."""

    def __init__(
        self, targets: Any, spec: TargetSpec | None, y: Any = None, test: Any = None, **arguments: Any
    ) -> None:
        super().__init__(scaling="none", batch_size=5, **arguments)
        self.targets, self.spec, self.y, self.test_targets = targets, spec, y, test

    @property
    def target_spec(self) -> TargetSpec | None:
        return self.spec

    def load(self) -> Samples:
        return Samples(np.arange(2.0 * N_SAMPLES).reshape(-1, 2) // 2, self.y, self.targets)

    def load_test(self) -> Samples | None:
        return None if self.test_targets is None else Samples(np.ones((2, 2)), None, self.test_targets)


def supervised(*arguments: Any, **others: Any) -> Supervised:
    data = Supervised(*arguments, **others)
    data.setup("fit")
    return data


def test_targets_come_with_their_samples() -> None:
    targets = np.column_stack([np.arange(N_SAMPLES) * 10.0, np.arange(N_SAMPLES) % 2])
    data = supervised(targets, SURVIVAL, val_fraction=0.25)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        whole = loader.read(0, 100)
        assert torch.equal(whole.targets[:, 0], whole.x[:, 0] * 10)
        for batch in loader:
            assert torch.equal(batch.targets[:, 0], batch.x[:, 0] * 10)
            assert batch.targets.dtype == torch.float32
    assert data.train_dataloader().read(0, 3).y is None


def test_classes_are_the_labels_where_there_are_no_others() -> None:
    classes = np.arange(N_SAMPLES) % 4 - 1
    batch = supervised(classes, CLASS).train_dataloader().read(0, 100)
    np.testing.assert_array_equal(batch.targets, classes)
    np.testing.assert_array_equal(batch.y, classes)
    assert batch.targets.dtype == torch.int64
    batch = supervised(classes, CLASS, np.arange(N_SAMPLES)).train_dataloader().read(0, 100)
    assert batch.y.tolist() == list(range(N_SAMPLES))


def test_predictions_have_targets_where_both_sets_have() -> None:
    classes = np.zeros(N_SAMPLES, int)
    assert supervised(classes, CLASS, test=np.ones(2, int)).predict_dataloader().read(0, 100).targets.sum() == 2


@pytest.mark.parametrize(
    ("targets", "spec", "message"),
    [
        (np.zeros(12, int), None, r"Supervised\.load\(\) returned targets, but target_spec is None"),
        (np.zeros(11, int), CLASS, r"have shape \(11,\); class targets of this data are \(12,\)"),
        (np.full(12, 3), CLASS, "hold classes from 3 to 3, but there are 3 names"),
        (np.full(12, -2), CLASS, "hold classes from -2"),
        (np.full(12, 0.5), CLASS, "no integers"),
        (np.full(12, -1), CLASS, "are all missing"),
        (np.zeros(12), TargetSpec("value", ["a"]), r"value targets of this data are \(12, 1\)"),
        (np.full((12, 1), np.inf), TargetSpec("value", ["a"]), "infinite"),
        (np.full((12, 1), NAN), TargetSpec("value", ["a"]), "are all missing"),
        (np.full((12, 2), 0.5), TargetSpec("multilabel", ["a", "b"]), "other values than 0 and 1"),
        (np.full((12, 3), 1.0), SURVIVAL, r"\(12, 2\)"),
        (np.full((12, 2), -1.0), SURVIVAL, "the negative time -1.0"),
        (np.full((12, 2), 2.0), SURVIVAL, r"other events than 0 \(censored\) and 1"),
        (np.array(["a"] * 12), CLASS, "has dtype <U1; give numbers"),
    ],
)
def test_bad_targets_are_refused(targets: Any, spec: TargetSpec | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        supervised(targets, spec)


@pytest.mark.parametrize(
    ("targets", "spec"),
    [
        (np.array([[0, 1]] * 11 + [[1, 1]]), TargetSpec("multilabel", ["a", "b"])),
        (np.array([[0.0, NAN]] * 11 + [[1.0, 1.0]]), TargetSpec("multilabel", ["a", "b"])),
        (np.array([[NAN, NAN]] * 11 + [[1.0, 1.0]]), SURVIVAL),
    ],
)
def test_some_targets_may_be_missing(targets: Any, spec: TargetSpec) -> None:
    batch = supervised(targets, spec).train_dataloader().read(0, 100)
    np.testing.assert_array_equal(batch.targets, targets.astype("f4"))
