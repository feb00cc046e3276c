from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest

from lightning_dc import DEC, InputError, KMeansConfig, MLPAutoencoder, PhaseConfig, RefreshConfig
from lightning_dc.callbacks import centroid_refresh
from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.kmeans import kmeans
from lightning_dc.training import ClusteringModule
from tests.helpers.methods import SGD, Blobs, dec, trainer


class Note(Refresh):
    """Refresh that keeps its steps in the phase."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps: list[tuple[int, bool]] = []

    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        self.steps.append((module.progress.step, is_first))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"every_n_steps": 3}, [0, 3, 6, 9]),
        ({"every_n_steps": 1}, list(range(11))),
        ({"every_n_epochs": 1}, [0, 4, 8]),
        ({"every_n_epochs": 2}, [0, 8]),
        ({}, [0]),
    ],
)
def test_steps_that_are_due(tmp_path: Path, arguments: dict[str, int], expected: list[int]) -> None:
    """An epoch has four batches, and clustering has eleven steps; no refresh is due at the end of the phase."""
    note = Note(**arguments)
    model = dec(clustering=PhaseConfig(max_steps=11, loss_weights={"kl": 1.0}, optimizer=SGD))
    trainer(tmp_path, note).fit(model, Blobs())
    assert note.steps == [(step, step == 0) for step in expected]


def test_steps_and_epochs_together_are_refused() -> None:
    with pytest.raises(InputError, match="every_n_steps=3 and every_n_epochs=1 are both set"):
        Note(3, 1)


@pytest.mark.parametrize("name", ["every_n_steps", "every_n_epochs"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_period_below_one_is_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{name}={value} between two refreshes must be at least 1"):
        Note(**{name: value})


@pytest.fixture
def seeded_calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that has, for each call of k-means, whether it started from new centroids."""
    calls: list[bool] = []

    def note(*args: Any, **kwargs: Any) -> Any:
        calls.append(isinstance(kwargs["init"], str))
        return kmeans(*args, **kwargs)

    monkeypatch.setattr(centroid_refresh, "kmeans", note)
    return calls


class TwiceDEC(DEC):
    """Method with clusters in two phases, each of which begins with k-means."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.phases = (*self.phases, dataclasses.replace(self.phases[-1], name="again"))


def test_each_phase_that_asks_for_centroids_begins_with_kmeans(tmp_path: Path, seeded_calls: list[bool]) -> None:
    """K-means starts anew even if the previous phase ends at a step that has just refreshed the centroids."""
    pl.seed_everything(0, verbose=False)
    model = TwiceDEC(
        input_shape=(6,),
        n_clusters=3,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[8], latent_dim=2),
        pretraining=PhaseConfig(max_epochs=1, loss_weights={"reconstruction": 1.0}, optimizer=SGD),
        clustering=PhaseConfig(max_steps=7, loss_weights={"kl": 1.0}, optimizer=SGD),
        kmeans=KMeansConfig(every_n_steps=3),
        refresh=RefreshConfig(every_n_steps=3, tolerance=0.99),  # ends the phase at the first refresh that can
    )
    trainer(tmp_path).fit(model, Blobs())
    assert seeded_calls == [True, False, True, False]
