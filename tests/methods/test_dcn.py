"""Tests of DCN against a training loop that is written from the paper, and of its documented behaviour."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from torch import Tensor

from lightning_dc import DCN, InputError, PhaseConfig, RefreshConfig
from lightning_dc.randomness import mix_seed
from tests.helpers.methods import (
    DCN_WEIGHTS,
    RECONSTRUCTION,
    REFRESH,
    SLOW,
    Blobs,
    Observe,
    dcn,
    plain_autoencoder,
    trainer,
    weights,
)


def samples(dtype: torch.dtype = torch.float32) -> Tensor:
    """Return all samples, scaled as in training."""
    x = torch.as_tensor(Blobs().load().x)
    return (x / x.square().mean().sqrt()).to(dtype)


def test_a_whole_fit_equals_a_loop_written_from_the_paper(tmp_path: Path) -> None:
    """SGD on summed squared errors, then a step and an update of the centroids a batch; float64, tolerance 1e-10."""
    model = dcn()
    initial = {name: value.detach().clone().double() for name, value in model.named_parameters()}
    observe = Observe()
    trainer(tmp_path, observe, precision="64-true").fit(model, Blobs())

    # The same training in plain torch.
    x = samples(torch.float64)
    p = {name: value.clone().requires_grad_() for name, value in initial.items() if name.startswith("model.network")}
    encode, decode = plain_autoencoder(p)
    velocity = {name: torch.zeros_like(value) for name, value in p.items()}
    steps = -(-150 // 40)

    def step(loss: Tensor) -> None:
        for name, gradient in zip(p, torch.autograd.grad(loss, list(p.values())), strict=True):
            velocity[name] = 0.5 * velocity[name] + gradient
            p[name].data -= 0.02 * velocity[name]

    def nearest(z: Tensor) -> np.ndarray:
        return cdist(z.detach().numpy(), centroids).argmin(1)

    centroids, counts = np.empty(0), np.empty(0)
    assigned = set()
    for epoch in range(6):
        order = torch.randperm(150, generator=torch.Generator().manual_seed(mix_seed(0, epoch)))
        if epoch == 2:
            # k-means is tested by itself: take its centroids.
            centroids = observe.weights[2 * steps]["model.head.centroids"].numpy().copy()
            counts = np.full(3, 100)
            velocity = {name: torch.zeros_like(value) for name, value in p.items()}
        for i in range(steps):
            batch = x[order[i * 40 : (i + 1) * 40]]
            z = encode(batch)
            reconstruction = ((decode(z) - batch) ** 2).sum(1).mean()
            if epoch < 2:
                step(reconstruction)
                continue
            own = torch.from_numpy(centroids[nearest(z)])
            step(reconstruction + ((z - own) ** 2).sum(1).mean())
            z = encode(batch).detach()
            for z_i, k in zip(z.numpy(), nearest(z), strict=True):
                counts[k] += 1
                centroids[k] += (z_i - centroids[k]) / counts[k]
                assigned.add(int(k))
    assert assigned == {0, 1, 2}
    for name, value in model.named_parameters():
        expected = torch.from_numpy(centroids) if name == "model.head.centroids" else p[name].detach()
        torch.testing.assert_close(value.detach(), expected, rtol=0, atol=1e-10, msg=name)


def test_centroids_start_where_sklearns_kmeans_ends(tmp_path: Path) -> None:
    observe = Observe()
    trainer(tmp_path, observe).fit(dcn(), Blobs())
    start = observe.weights[observe.phases.index("clustering")]
    z, centroids = embeddings(start), start["model.head.centroids"].numpy()
    inertia = (cdist(z, centroids).min(1) ** 2).sum()
    assert inertia <= 1.001 * KMeans(3, n_init=20, random_state=0).fit(z).inertia_


def embeddings(weights_then: dict[str, Tensor]) -> np.ndarray:
    probe = dcn()
    probe.load_state_dict(weights_then, strict=False)
    return probe.embed(samples()).detach().double().numpy()


def test_centroids_are_refreshed_every_n_epochs_from_where_they_are(tmp_path: Path) -> None:
    """K-means starts from the centroids after the last batch, and does not run at the end."""
    fast = functools.partial(torch.optim.SGD, lr=0.02, momentum=0.9)
    clustering = PhaseConfig(max_epochs=4, loss_weights=DCN_WEIGHTS, optimizer=fast)
    seen: list[tuple[int, Tensor]] = []

    class BeforeTheRefresh(pl.Callback):
        """Callback that acts between the update of the centroids and the refresh."""

        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
            if pl_module.phase.name == "clustering":
                seen.append((trainer.global_step, pl_module.model.head.centroids.detach().clone()))

    model, observe = dcn(clustering=clustering, refresh=REFRESH(every_n_epochs=2)), Observe()
    model.method_callbacks.insert(1, BeforeTheRefresh())
    trainer(tmp_path, observe).fit(model, Blobs())
    replaced = []
    for step, before in seen[:-1]:
        after = observe.weights[step]["model.head.centroids"]
        if not torch.equal(before, after):
            replaced.append(step)
            z = embeddings(observe.weights[step])
            theirs = KMeans(3, init=before.double().numpy(), n_init=1).fit(z).cluster_centers_
            np.testing.assert_allclose(after.numpy(), theirs, atol=1e-4)
    start = observe.phases.index("clustering")
    assert [step - start for step in replaced] == [8]
    assert torch.equal(seen[-1][1], model.model.head.centroids)


def test_only_the_clustering_phase_moves_centroids(tmp_path: Path) -> None:
    observe = Observe()
    trainer(tmp_path, observe).fit(dcn(), Blobs())
    pretraining = [
        then["model.head.centroids"]
        for then, name in zip(observe.weights, observe.phases, strict=True)
        if name == "pretraining"
    ]
    assert len(pretraining) == 8
    assert not any(centroids.any() for centroids in pretraining)


@pytest.mark.parametrize("y", ["permuted", "none", "unknown"])
def test_labels_are_never_used_in_training(tmp_path: Path, y: str) -> None:
    fitted = []
    for labels in ("true", y):
        model = dcn(refresh=REFRESH(every_n_epochs=1))
        trainer(tmp_path).fit(model, Blobs(labels))
        fitted.append(weights(model))
    assert torch.equal(*fitted)


def test_clustering_recovers_separated_blobs_and_its_loss_tightens_them(tmp_path: Path) -> None:
    spread = []
    for weight in (0.0, 10.0):
        model = dcn(
            pretraining=PhaseConfig(max_epochs=40, loss_weights=RECONSTRUCTION),
            clustering=PhaseConfig(max_epochs=30, loss_weights={"reconstruction": 1.0, "kmeans": weight}),
            refresh=REFRESH(every_n_epochs=5),
        )
        run = trainer(tmp_path)
        run.fit(model, Blobs())
        assert run.validate(model, Blobs(), verbose=False)[0]["val/acc"] > 0.97
        end = {name: value.detach() for name, value in model.named_parameters()}
        z = embeddings(end)
        within = cdist(z, end["model.head.centroids"].double().numpy()).min(1) ** 2
        spread.append(within.mean() / z.var(0).sum())
    assert spread[1] < 0.75 * spread[0]


def test_it_stops_when_labels_no_longer_change(tmp_path: Path) -> None:
    still = functools.partial(torch.optim.SGD, lr=0.0)
    clustering = PhaseConfig(max_epochs=50, loss_weights=DCN_WEIGHTS, optimizer=still)
    model, run = dcn(clustering=clustering, refresh=RefreshConfig(every_n_epochs=1)), trainer(tmp_path)
    run.fit(model, Blobs())
    assert model.phases_over
    assert run.global_step == 8 + 4  # at the first refresh of an encoder that does not move


def test_training_of_the_head_is_refused() -> None:
    clustering = PhaseConfig(max_epochs=1, loss_weights=DCN_WEIGHTS, trainable=["encoder", "head"])
    with pytest.raises(InputError, match="trainable of DCN's clustering names head, but its centroids follow the"):
        dcn(clustering=clustering)


def test_steps_and_epochs_between_refreshes_are_not_given_together() -> None:
    with pytest.raises(
        InputError, match=r"every_n_epochs=10 are both set; .* to refresh by steps add every_n_epochs=null"
    ):
        dcn(refresh=REFRESH(every_n_steps=5, every_n_epochs=10))


@pytest.mark.parametrize(("arguments", "steps"), [({"every_n_steps": 5}, 8 + 15), ({"every_n_epochs": 1}, 8 + 12)])
def test_the_last_refresh_comes_by_steps_or_by_epochs(tmp_path: Path, arguments: dict[str, int], steps: int) -> None:
    model = dcn(refresh=REFRESH(**arguments))
    trainer(tmp_path).fit(model, Blobs())
    assert model.state.assignments is not None
    assert model.state.assignments.step == steps


def test_the_encoder_alone_can_be_trained(tmp_path: Path) -> None:
    clustering = PhaseConfig(max_epochs=1, loss_weights={"kmeans": 1.0}, optimizer=SLOW, trainable=["encoder"])
    model, observe = dcn(clustering=clustering), Observe()
    trainer(tmp_path, observe).fit(model, Blobs())
    start, end = observe.weights[observe.phases.index("clustering")], dict(model.named_parameters())
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    layers = {f"model.network.encoder.linear_{layer}.{kind}" for layer in (1, 2) for kind in ("weight", "bias")}
    assert moved == layers | {"model.head.centroids"}


@pytest.mark.parametrize("base", [DCN, pl.LightningModule])
def test_it_loads_from_its_checkpoint(tmp_path: Path, base: type[pl.LightningModule]) -> None:
    model = dcn(initial_count=7)
    run = trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = base.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert type(loaded) is DCN
    assert torch.equal(weights(loaded), weights(model))
    assert torch.equal(loaded(samples()), model(samples()))
    assert loaded.method_callbacks[0].initial_count == 7
