from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest

from datamodules import ArrayDataModule
from lightning_dc import SCAN, MLPEncoder, NeighbourConfig, PhaseConfig
from tests.helpers.methods import dec, trainer


class Sizes(pl.Callback):
    """Callback that keeps the sizes of the batches."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.seen.append(len(batch.index))


@pytest.mark.parametrize(
    ("n_samples", "batch_size", "expected"),
    [
        (103, 20, [21, 21, 21, 21, 19]),
        (100, 20, [20] * 5),
        (119, 20, [20] * 5 + [19]),
        (15, 20, [15]),
        (29, 20, [29]),
        (1057, 32, [28] * 37 + [21]),
    ],
)
def test_batches_of_scan_have_nearly_the_same_size(
    tmp_path: Path, n_samples: int, batch_size: int, expected: list[int]
) -> None:
    x = np.random.default_rng(0).normal(size=(n_samples, 6))
    sizes, data = Sizes(), ArrayDataModule(x, batch_size=batch_size)
    phase = PhaseConfig(max_epochs=1, loss_weights={"consistency": 1.0, "balance": 2.0})
    encoder = functools.partial(MLPEncoder, hidden_dims=[8])
    trainer(tmp_path, sizes).fit(SCAN((6,), 3, encoder, neighbours=NeighbourConfig(k=3), consistency=phase), data)
    assert sizes.seen == expected


def test_other_methods_keep_the_size_that_was_asked_for_also_after_scan(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(103, 6))
    data = ArrayDataModule(x, batch_size=20)
    encoder = functools.partial(MLPEncoder, hidden_dims=[8])
    phase = PhaseConfig(max_epochs=1, loss_weights={"consistency": 1.0, "balance": 2.0})
    trainer(tmp_path).fit(SCAN((6,), 3, encoder, neighbours=NeighbourConfig(k=3), consistency=phase), data)
    sizes = Sizes()
    phase = PhaseConfig(max_epochs=1, loss_weights={"reconstruction": 1.0})
    trainer(tmp_path, sizes).fit(dec(pretraining=phase, clustering=PhaseConfig(loss_weights={"kl": 1.0})), data)
    assert sizes.seen == [20, 20, 20, 20, 20, 3]


class Failure(pl.Callback):
    """Callback that ends a fit."""

    def on_train_batch_end(self, *args: Any) -> None:
        raise RuntimeError("the end")


def test_a_fit_that_fails_leaves_the_data_as_they_were(tmp_path: Path) -> None:
    data = ArrayDataModule(np.random.default_rng(0).normal(size=(60, 6)), batch_size=20)
    encoder = functools.partial(MLPEncoder, hidden_dims=[8])
    with pytest.raises(RuntimeError, match="the end"):
        trainer(tmp_path, Failure()).fit(SCAN((6,), 3, encoder, neighbours=NeighbourConfig(k=3)), data)
    assert not data.even_batches
