"""Tests of centroids that are placed by anything but the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from lightning_dc import ClusteringModule, KMeansConfig, PhaseConfig, RefreshConfig
from lightning_dc.training import place_centroids
from tests.helpers.methods import REFRESH, SGD, Blobs, dec, idec, trainer

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": SGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "NAdam": torch.optim.NAdam,
    "Adamax": torch.optim.Adamax,
}


class Place(pl.Callback):
    """Callback that places some centroids after step 6 of clustering, and notes what the optimizer remembers."""

    def __init__(self, clusters: torch.Tensor | None) -> None:
        self.clusters = clusters
        self.memory: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
        if pl_module.phase.name == "clustering" and pl_module.progress.step == 6:
            head = pl_module.model.head
            n_rows = head.n_clusters if self.clusters is None else len(self.clusters)
            place_centroids(pl_module, torch.full((n_rows, head.latent_dim), 7.0), self.clusters)
            state = pl_module.optimizer.state[head.centroids]
            self.memory = [state[name].clone() for name in ("momentum_buffer", "exp_avg") if name in state]
            self.centroids = head.centroids.detach().clone()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clusters", [None, torch.tensor([1])])
def test_a_placed_centroid_starts_without_momentum(name: str, clusters: torch.Tensor | None, tmp_path: Path) -> None:
    phase = PhaseConfig(max_steps=8, loss_weights={"kl": 1.0}, optimizer=OPTIMIZERS[name])
    placed = Place(clusters)
    trainer(tmp_path, placed).fit(dec(clustering=phase), Blobs())
    (memory,) = placed.memory
    moved = torch.ones(3, dtype=torch.bool) if clusters is None else torch.tensor([False, True, False])
    assert bool((memory[moved] == 0).all())
    assert bool((memory[~moved] != 0).any(1).all())
    assert bool((placed.centroids[moved] == 7).all())
    assert bool((placed.centroids[~moved] != 7).all())


def test_an_optimizer_without_momentum_and_a_plain_iterate_are_left_alone(tmp_path: Path) -> None:
    """The state of other optimizers may be a copy of the parameter, which must not become 0."""

    class Averaging(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            loss = super().step(closure)
            for group in self.param_groups:
                for parameter in group["params"]:
                    self.state[parameter]["z"] = parameter.detach().clone()
            return loss

    phase = PhaseConfig(max_steps=8, loss_weights={"kl": 1.0}, optimizer=_averaging(Averaging))
    model = dec(clustering=phase, kmeans=KMeansConfig(n_init=2, every_n_steps=4))
    trainer(tmp_path).fit(model, Blobs())
    assert bool((model.optimizer.state[model.model.head.centroids]["z"] != 0).all())


def _averaging(cls: Any) -> Any:
    globals()[cls.__qualname__.rpartition(".")[2]] = cls
    cls.__qualname__ = cls.__name__
    return cls


class Memory(pl.Callback):
    """Callback that counts, before each step of clustering, the parameters that the optimizer remembers."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
        if pl_module.phase.name == "clustering":
            self.counts.append(len(pl_module.optimizer.state))


@pytest.mark.parametrize("method", [dec, idec])
@pytest.mark.parametrize("optimizer", [SGD, torch.optim.Adam])
@pytest.mark.parametrize("restarts", [True, False])
def test_the_optimizer_starts_anew_with_a_refresh_if_that_is_asked_for(
    method: Any, optimizer: Any, restarts: bool, tmp_path: Path
) -> None:
    memory = Memory()
    weights = {"reconstruction": 1.0, "kl": 0.1} if method is idec else {"kl": 1.0}
    phase = PhaseConfig(max_steps=8, loss_weights=weights, optimizer=optimizer)
    refresh = REFRESH(every_n_steps=3, restart_optimizer=restarts)
    trainer(tmp_path, memory).fit(method(clustering=phase, refresh=refresh), Blobs())
    remembers = [count > 0 for count in memory.counts]
    assert remembers == [step not in ((0, 3, 6) if restarts else (0,)) for step in range(8)]


def test_a_restarting_run_resumes_exactly(tmp_path: Path) -> None:
    def model() -> ClusteringModule:
        phase = PhaseConfig(max_epochs=3, loss_weights={"kl": 1.0}, optimizer=SGD)
        return dec(clustering=phase, refresh=RefreshConfig(every_n_steps=2, tolerance=0.0, restart_optimizer=True))

    whole, first, second = model(), model(), model()
    trainer(tmp_path).fit(whole, Blobs())
    stopped = trainer(tmp_path, max_epochs=3)
    stopped.fit(first, Blobs())
    stopped.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path).fit(second, Blobs(), ckpt_path=tmp_path / "half.ckpt")
    for ours, theirs in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, theirs)
