"""Choice of a head without labels, against scikit-learn's mutual information."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import mutual_info_score

from datamodules import ArrayDataModule
from lightning_dc import SCAN, MLPEncoder, PhaseConfig, SoftmaxHead
from lightning_dc.functional import mutual_information
from tests.helpers.methods import trainer

X = np.random.default_rng(0).normal(size=(200, 6))


def fitted(folder: Path, n_steps: int) -> SCAN:
    model = SCAN(
        (6,),
        4,
        encoder=functools.partial(MLPEncoder, hidden_dims=[16]),
        head=functools.partial(SoftmaxHead, n_heads=6, over_clustering=[2]),
        consistency=PhaseConfig(max_steps=n_steps, loss_weights={"consistency": 1.0, "balance": 2.0}),
    )
    trainer(folder).fit(model, ArrayDataModule(X, batch_size=40))
    return model


def test_the_head_with_the_largest_mutual_information_gives_the_clusters(tmp_path: Path) -> None:
    model = fitted(tmp_path, n_steps=60)
    head = model.model.head
    assert isinstance(head, SoftmaxHead)
    x = torch.from_numpy(X).float()
    with torch.no_grad():
        tables = [table.exp().double().numpy() for table in head.log_assignments(model.embed(x))[:6]]

    def information(q: np.ndarray) -> float:
        g = q.mean(0)
        return float(np.sum(q * np.log(q / g)) / len(q))

    values = [information(q) for q in tables]
    assert int(head.chosen) == int(np.argmax(values))
    assert model.final is not None
    assert np.array_equal(model.final.labels, tables[int(head.chosen)].argmax(1))


def test_the_mutual_information_is_that_of_scikit_learn() -> None:
    labels = np.array([0, 0, 1, 1, 1, 2])
    q = torch.eye(3, dtype=torch.float64)[labels]
    assert abs(float(mutual_information(q.mean(0), torch.tensor(0.0))) - mutual_info_score(labels, np.arange(6))) < 1e-9


def test_the_choice_is_made_after_the_last_step(tmp_path: Path) -> None:
    model = fitted(tmp_path, n_steps=7)  # no interval of 5 epochs of 5 steps has passed
    assert model.global_step == 7
    head = model.model.head
    assert isinstance(head, SoftmaxHead)
    with torch.no_grad():
        tables = head.log_assignments(model.embed(torch.from_numpy(X).float()))[:6]
    values = [float((t.exp() * (t - t.exp().mean(0).log())).sum(1).mean()) for t in tables]
    assert int(head.chosen) == int(np.argmax(values))
