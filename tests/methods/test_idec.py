"""Tests of IDEC: the loss of DEC and the reconstruction, computed by hand."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import rel_entr
from torch import Tensor

from lightning_dc import DEC, IDEC, PhaseConfig
from lightning_dc.randomness import mix_seed
from lightning_dc.schedules import Linear
from tests.helpers.methods import RECONSTRUCTION, SGD, Blobs, Memory, Observe, dec, idec, logged, trainer, weights


class Losses(pl.Callback):
    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append({name: float(value) for name, value in outputs.items()})


def forward(p: dict[str, np.ndarray], x: np.ndarray, part: str) -> np.ndarray:
    hidden = np.maximum(x @ p[f"{part}.linear_1.weight"].T + p[f"{part}.linear_1.bias"], 0)
    return hidden @ p[f"{part}.linear_2.weight"].T + p[f"{part}.linear_2.bias"]


def test_the_loss_of_a_clustering_step_is_reconstruction_and_a_tenth_of_the_divergence(tmp_path: Path) -> None:
    model, observe, losses, data = idec(), Observe(), Losses(), Blobs()
    trainer(tmp_path, observe, losses, precision="64-true").fit(model, data)
    x = data.load().x
    x = x / np.sqrt((x**2).mean())
    target = np.empty(0)
    checked = 0
    for step, (then, name) in enumerate(zip(observe.weights, observe.phases, strict=True)):
        if name != "clustering":
            continue
        p = {key.removeprefix("model.network."): value.numpy() for key, value in then.items()}
        z = forward(p, x, "encoder")
        q = 1 / (1 + cdist(z, p["model.head.centroids"], "sqeuclidean"))
        q /= q.sum(1, keepdims=True)
        if (step - 8) % 3 == 0:
            target = q**2 / q.sum(0)
            target /= target.sum(1, keepdims=True)
        epoch, i = divmod(step, 4)
        order = torch.randperm(150, generator=torch.Generator().manual_seed(mix_seed(0, epoch))).numpy()
        rows = order[40 * i : 40 * (i + 1)]
        reconstruction = ((forward(p, z[rows], "decoder") - x[rows]) ** 2).mean()
        divergence = rel_entr(target[rows], q[rows]).sum(1).mean()
        found = losses.losses[step]
        assert found["reconstruction"] == pytest.approx(reconstruction, rel=1e-10)
        assert found["kl"] == pytest.approx(divergence, rel=1e-9)
        assert found["loss"] == pytest.approx(reconstruction + 0.1 * divergence, rel=1e-10)
        checked += 1
    assert checked == 8


def test_the_decoder_goes_on_training_while_it_clusters(tmp_path: Path) -> None:
    model, observe = idec(), Observe()
    trainer(tmp_path, observe).fit(model, Blobs())
    start, end = observe.weights[observe.phases.index("clustering")], dict(model.named_parameters())
    for name in start:
        assert not torch.equal(start[name], end[name]), name


def test_the_reconstruction_stays_better_than_that_of_dec(tmp_path: Path) -> None:
    errors = []
    x = Blobs().train_dataloader().read(0, 150).x
    for method in (dec, idec):
        pretraining = PhaseConfig(max_epochs=40, loss_weights=RECONSTRUCTION)
        kl = {"kl": 1.0} if method is dec else {"reconstruction": 1.0, "kl": 0.1}
        model = method(pretraining=pretraining, clustering=PhaseConfig(max_epochs=20, loss_weights=kl))
        trainer(tmp_path).fit(model, Blobs())
        errors.append(float((model.model.network.decode(model.embed(x)) - x).detach().square().mean()))
    assert errors[1] < 0.8 * errors[0]


def test_weights_of_both_terms_may_be_schedules(tmp_path: Path) -> None:
    ramp = PhaseConfig(
        max_steps=8, loss_weights={"reconstruction": Linear(1.0, 0.0), "kl": Linear(0.0, 0.4)}, optimizer=SGD
    )
    logger, losses = Memory(), Losses()
    model = idec(clustering=ramp)
    trainer(tmp_path, losses, logger=logger, log_every_n_steps=2).fit(model, Blobs())
    np.testing.assert_allclose(logged(logger, "weight/kl")[:3], [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(logged(logger, "weight/reconstruction")[-4:-1], [0.75, 0.5, 0.25], rtol=1e-6)
    for i, step in enumerate(losses.losses[8:]):
        expected = (1 - i / 8) * step["reconstruction"] + 0.4 * i / 8 * step["kl"]
        assert step["loss"] == pytest.approx(expected, rel=1e-5)


def test_without_the_reconstruction_it_is_dec(tmp_path: Path) -> None:
    """Encoder and centroids are the same at each step; the decoder does not change."""
    ways: list[list[dict[str, Tensor]]] = []
    for method, loss_weights in ((dec, {"kl": 1.0}), (idec, {"reconstruction": 0.0, "kl": 1.0})):
        observe = Observe()
        model = method(clustering=PhaseConfig(max_epochs=4, loss_weights=loss_weights, optimizer=SGD))
        trainer(tmp_path, observe).fit(model, Blobs())
        ways.append([*observe.weights, {name: value.detach() for name, value in model.named_parameters()}])
    assert len(ways[0]) == len(ways[1]) == 6 * 4 + 1
    for then_dec, then_idec in zip(*ways, strict=True):
        for name in then_dec:
            torch.testing.assert_close(then_idec[name], then_dec[name], rtol=0, atol=1e-6, msg=name)


def test_arguments_and_defaults_are_those_of_dec_but_for_the_loss() -> None:
    ours, theirs = inspect.signature(IDEC).parameters, inspect.signature(DEC).parameters
    assert list(ours) == list(theirs)
    assert {name for name in ours if ours[name].default != theirs[name].default} == {"clustering"}
    assert ours["clustering"].default.loss_weights == {"reconstruction": 1.0, "kl": 0.1}


def test_it_loads_from_its_checkpoint(tmp_path: Path) -> None:
    model, run = idec(nu=2.0, keep_p_table=False), trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = pl.LightningModule.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert type(loaded) is IDEC
    assert loaded.model.head.nu == 2.0
    assert torch.equal(weights(loaded), weights(model))
