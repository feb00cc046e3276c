"""Tests of TaskScores against scikit-learn, lifelines and scikit-survival."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error
from sksurv.linear_model.coxph import CoxPHOptimizer
from torch import Tensor

from lightning_dc.batch import TargetSpec
from lightning_dc.functional import Ties
from lightning_dc.metrics import TaskScores

N = 50
SURVIVAL = TargetSpec("survival", ("time", "event"))


def scores(metric: TaskScores, output: Tensor, targets: Tensor) -> dict[str, float]:
    """Compute scores from batches of different sizes, in which different shares of the targets are missing."""
    for rows in torch.arange(N).split([7, 30, 13]):
        metric.update(output[rows], targets[rows])
    return metric.compute()


def test_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, classes = torch.randn(N, 3, generator=generator), torch.randint(0, 3, (N,), generator=generator)
    classes[:6] = -1
    classes[20] = -1
    known = classes >= 0
    found = scores(TaskScores(TargetSpec("class", ("a", "b", "c"))), logits, classes)
    theirs = log_loss(classes[known], logits[known].double().softmax(1), labels=[0, 1, 2])
    assert found == pytest.approx(
        {"task": theirs, "task_accuracy": accuracy_score(classes[known], logits[known].argmax(1))}, rel=1e-6
    )


def test_labels_and_values_are_means_over_samples_of_means_over_what_they_have() -> None:
    generator = torch.Generator().manual_seed(1)
    output = torch.randn(N, 2, generator=generator)
    labels = (torch.rand(N, 2, generator=generator) < 0.5).float()
    values = torch.randn(N, 2, generator=generator)
    for targets in (labels, values):
        targets[:6], targets[10:30, 1] = math.nan, math.nan
    probabilities = output.double().sigmoid()
    each = {"multilabel": [], "value": []}
    for i in range(6, N):
        has = ~labels[i].isnan()
        each["multilabel"].append(log_loss(labels[i, has], probabilities[i, has], labels=[0, 1]))
        each["value"].append(mean_squared_error(values[i, has], output[i, has]))
    for kind, targets in (("multilabel", labels), ("value", values)):
        found = scores(TaskScores(TargetSpec(kind, ("u", "v"))), output, targets)
        assert found == pytest.approx({"task": np.mean(each[kind])}, rel=1e-6)


def survival() -> tuple[Tensor, Tensor, Tensor]:
    """Draw log risks and targets with ties, and a mask of the known targets."""
    random = np.random.default_rng(2)
    eta, time = random.normal(size=N), random.integers(1, 15, N).astype(float)
    targets = torch.from_numpy(np.column_stack([time, random.random(N) < 0.4]).astype(float))
    targets[2, 0], targets[9, 1], targets[40] = math.nan, math.nan, math.nan
    return torch.from_numpy(eta)[:, None], targets, ~targets.isnan().any(1)


def test_survival_has_one_risk_set_over_all_batches_and_a_mean_over_events() -> None:
    eta, targets, known = survival()
    time, event = targets[known].T
    frame = pd.DataFrame({"x": eta[known, 0], "time": time, "event": event})
    fitted = CoxPHFitter().fit(frame, "time", "event")  # Efron
    found = scores(TaskScores(SURVIVAL), eta * fitted.params_["x"], targets)
    assert found == pytest.approx({"task": -fitted.log_likelihood_ / float(event.sum())}, rel=1e-9)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_ties_are_treated_as_told(ties: Ties) -> None:
    eta, targets, known = survival()
    time, event = targets[known].numpy().T
    peer = CoxPHOptimizer(eta[known].numpy(), event == 1, time, np.zeros(1), ties)
    theirs = float(peer.nlog_likelihood(np.ones(1))) * len(time) / event.sum()  # theirs is a mean over the samples
    assert scores(TaskScores(SURVIVAL, ties), eta, targets)["task"] == pytest.approx(theirs, rel=1e-9)


def test_half_precision_is_summed_in_float32() -> None:
    eta, targets, _ = survival()
    eta = eta.bfloat16()
    wide = scores(TaskScores(SURVIVAL), eta.float(), targets.float())
    assert scores(TaskScores(SURVIVAL), eta, targets.float()) == wide


def test_without_a_target_scores_are_nan_and_a_reset_forgets() -> None:
    metric = TaskScores(TargetSpec("class", ("a", "b")))
    assert not metric.is_supervised
    metric.update(torch.zeros(3, 2), torch.full((3,), -1))
    assert metric.is_supervised
    assert all(math.isnan(value) for value in metric.compute().values())
    metric.reset()
    assert not metric.is_supervised
    metric.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert metric.compute()["task_accuracy"] == 1.0
