"""Tests of the update of centroids after each batch against a loop over the samples."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from scipy.spatial.distance import cdist

from lightning_dc import DCN, InputError, PhaseConfig
from lightning_dc.callbacks import CountedCentroidUpdate
from tests.helpers.methods import DCN_WEIGHTS as WEIGHTS
from tests.helpers.methods import REFRESH, Blobs, dcn, dec, trainer, weights

SGD = functools.partial(torch.optim.SGD, lr=0.02)


class Spy(pl.Callback):
    """Callback that keeps the values before and after the update of each step."""

    def __init__(self) -> None:
        self.before: list[np.ndarray] = []
        self.z: list[np.ndarray] = []
        self.after: list[np.ndarray] = []
        self.counts: list[np.ndarray] = []

    def on_before_zero_grad(self, trainer: pl.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        if pl_module.phase.name == "clustering":
            self.before.append(pl_module.model.head.centroids.detach().numpy().copy())

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.phase.name == "clustering":
            self.z.append(pl_module.embed(batch.x).detach().numpy())
            self.after.append(pl_module.model.head.centroids.detach().numpy().copy())
            self.counts.append(update_of(pl_module).state_dict()["counts"].numpy().copy())


def update_of(model: Any) -> CountedCentroidUpdate:
    return next(c for c in model.method_callbacks if isinstance(c, CountedCentroidUpdate))


def spied(**kwargs: Any) -> tuple[DCN, Spy]:
    """Return a model, and a callback that acts between the update of its centroids and their refresh."""
    model = dcn(clustering=PhaseConfig(max_steps=6, loss_weights=WEIGHTS, optimizer=SGD), **kwargs)
    spy = Spy()
    model.method_callbacks.insert(1, spy)
    return model, spy


def pull(centroids: np.ndarray, counts: np.ndarray, z: np.ndarray) -> None:
    """Update centroids in place by eq. 16 of the paper, one sample after the other."""
    for z_i, k in zip(z, cdist(z, centroids).argmin(1), strict=True):
        counts[k] += 1
        centroids[k] += (z_i - centroids[k]) / counts[k]


@pytest.mark.parametrize("initial_count", [100, 1])
def test_each_sample_pulls_its_centroid(tmp_path: Path, initial_count: int) -> None:
    model, spy = spied(refresh=REFRESH(), initial_count=initial_count)
    trainer(tmp_path, precision="64-true").fit(model, Blobs())
    counts = np.full(3, float(initial_count))
    assert len(spy.after) == 6
    for before, z, after, counted in zip(spy.before, spy.z, spy.after, spy.counts, strict=True):
        centroids = before.copy()
        pull(centroids, counts, z)
        np.testing.assert_allclose(after, centroids, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(counted, counts)
        assert not np.array_equal(after, before)


def test_counts_begin_anew_after_kmeans(tmp_path: Path) -> None:
    model, spy = spied(refresh=REFRESH(every_n_steps=2))
    trainer(tmp_path).fit(model, Blobs())
    sizes = [40, 40, 40, 30, 40, 40]
    since = [40, 80, 40, 70, 40, 80]
    assert [len(z) for z in spy.z] == sizes
    assert [float(counts.sum()) - 300 for counts in spy.counts] == since
    for step in (2, 4):  # k-means has replaced the centroids
        assert not np.array_equal(spy.before[step], spy.after[step - 1])
    for step in (1, 3, 5):
        np.testing.assert_array_equal(spy.before[step], spy.after[step - 1])


def test_centroids_that_train_by_gradients_are_left_alone(tmp_path: Path) -> None:
    fitted = []
    for callbacks in ((), (CountedCentroidUpdate(),)):
        model = dec()
        trainer(tmp_path, *callbacks).fit(model, Blobs())
        fitted.append(weights(model))
    assert torch.equal(*fitted)


def test_state_makes_the_round_trip(tmp_path: Path) -> None:
    """Without a refresh in between, a resumed run continues with the counts of the checkpoint."""
    save = ModelCheckpoint(tmp_path / "kept", "third", every_n_train_steps=8 + 3, save_top_k=-1)
    whole, uninterrupted = spied(refresh=REFRESH())
    trainer(tmp_path, save, enable_checkpointing=True).fit(whole, Blobs())
    resumed, rest = spied(refresh=REFRESH())
    with pytest.warns(UserWarning, match="callbacks used to create the checkpoint"):
        trainer(tmp_path).fit(resumed, Blobs(), ckpt_path=tmp_path / "kept/third.ckpt", weights_only=True)
    assert len(rest.counts) == 3
    np.testing.assert_array_equal(rest.counts, uninterrupted.counts[3:])
    assert torch.equal(weights(whole), weights(resumed))


def test_a_fresh_fit_forgets_the_counts(tmp_path: Path) -> None:
    update = CountedCentroidUpdate()
    update.load_state_dict({"counts": torch.tensor([101.0, 107.0]), "set_at": 5, "seen": 9})
    assert update.state_dict()["counts"].tolist() == [101.0, 107.0]
    module = dcn()
    trainer(tmp_path, max_steps=1).fit(module, Blobs())
    update.setup(module.trainer, module, "fit")
    assert update.state_dict() == {"counts": None, "set_at": -1, "seen": 1}


def test_batches_of_one_step_are_one_batch(tmp_path: Path) -> None:
    """Centroids move after the step, by the samples of all batches whose gradients it adds up."""
    fitted = []
    for batch_size, accumulate in ((50, 1), (25, 2)):
        model = dcn(clustering=PhaseConfig(max_steps=6, loss_weights=WEIGHTS, optimizer=SGD), refresh=REFRESH())
        options = {"precision": "64-true", "accumulate_grad_batches": accumulate}
        trainer(tmp_path, **options).fit(model, Blobs(batch_size=batch_size))
        fitted.append(weights(model))
        assert float(update_of(model).state_dict()["counts"].sum()) == 300 + 6 * 50
    torch.testing.assert_close(*fitted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_one_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=f"initial_count={count} of a centroid must be at least 1"):
        CountedCentroidUpdate(count)
