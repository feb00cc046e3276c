"""Tests of the refresh of assignments: full passes, empty clusters, and numbers of clusters."""

from __future__ import annotations

import dataclasses
import logging
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from lightning_dc import KMeansConfig, PhaseConfig
from lightning_dc.callbacks import TargetDistributionRefresh
from lightning_dc.kmeans import kmeans
from lightning_dc.training import Assignments
from tests.helpers.methods import (
    DCN_WEIGHTS,
    REFRESH,
    SGD,
    SLOW,
    Blobs,
    Memory,
    Observe,
    dcn,
    dec,
    logged,
    trainer,
    weights,
)

centroid_refresh = import_module("lightning_dc.callbacks.centroid_refresh")
CLUSTERING = PhaseConfig(max_steps=7, loss_weights={"kl": 1.0}, optimizer=SGD)
FAR = 1e3


def embeddings(weights_then: dict[str, Tensor]) -> np.ndarray:
    probe = dec()
    autoencoder = {name: value for name, value in weights_then.items() if name.startswith("model.network")}
    probe.load_state_dict(autoencoder, strict=False)
    return probe.embed(Blobs().train_dataloader().read(0, 150).x).detach().double().numpy()


def far_away(*dead: int) -> Any:
    """Return a k-means that moves the centroids ``dead`` so far away that they get no sample."""

    def run(*args: Any, **kwargs: Any) -> SimpleNamespace:
        result = kmeans(*args, **kwargs)
        centroids = result.centroids.clone()
        for k in dead:
            centroids[k] = FAR * (k + 1)
        return SimpleNamespace(centroids=centroids, labels=result.labels)

    return run


class Refreshes(pl.Callback):
    """Callback that keeps the assignments of each refresh."""

    def __init__(self) -> None:
        self.seen: list[Assignments] = []

    def on_before_zero_grad(self, trainer: pl.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        assignments = pl_module.state.assignments
        if assignments is not None and (not self.seen or self.seen[-1] is not assignments):
            self.seen.append(assignments)


@pytest.mark.parametrize("dead", [(1,), (0, 2)])
def test_dead_clusters_are_revived_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, dead: tuple[int, ...]
) -> None:
    """Empty centroids move to the samples that are farthest from their centroids, and the others stay."""
    model, observe, logger, refreshes = dec(clustering=CLUSTERING), Observe(), Memory(), Refreshes()
    placed: list[Tensor] = []

    def run(*args: Any, **kwargs: Any) -> SimpleNamespace:
        result = far_away(*dead)(*args, **kwargs)
        placed.append(result.centroids)
        return result

    monkeypatch.setattr(centroid_refresh, "kmeans", run)
    with caplog.at_level(logging.INFO):
        trainer(tmp_path, observe, refreshes, logger=logger).fit(model, Blobs())
    start = observe.weights[observe.phases.index("clustering")]
    centroids, z = start["model.head.centroids"].double().numpy(), embeddings(start)
    others = [k for k in range(3) if k not in dead]
    np.testing.assert_array_equal(centroids[others], placed[0].numpy()[others])
    farthest = cdist(z, centroids[others]).min(1).argsort()[::-1][: len(dead)]
    np.testing.assert_allclose(
        centroids[list(dead)][np.lexsort(centroids[list(dead)].T)], z[farthest][np.lexsort(z[farthest].T)], atol=1e-5
    )
    labels = refreshes.seen[0].labels
    assert labels.tolist() == cdist(z, centroids).argmin(1).tolist()
    assert set(labels.tolist()) == {0, 1, 2}
    assert logged(logger, "clusters/died")[0] == len(dead)
    assert logged(logger, "clusters/empty")[0] == 0.0
    assert logged(logger, "clusters/died")[1:] == [0.0] * (len(logged(logger, "clusters/died")) - 1)
    assert f"no sample is left in cluster {', '.join(map(str, dead))}; moved" in caplog.text


def test_a_dead_cluster_stays_dead_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, observe, logger = dec(clustering=CLUSTERING), Observe(), Memory()
    refresh = next(c for c in model.method_callbacks if isinstance(c, TargetDistributionRefresh))
    refresh.repair_empty = False
    monkeypatch.setattr(centroid_refresh, "kmeans", far_away(1))
    with caplog.at_level(logging.INFO):
        trainer(tmp_path, observe, logger=logger).fit(model, Blobs())
    start = observe.weights[observe.phases.index("clustering")]
    assert start["model.head.centroids"][1].tolist() == [2 * FAR] * 2
    assert logged(logger, "clusters/died") == logged(logger, "clusters/empty") == [1.0] * 3
    assert logged(logger, "clusters/size_01") == [0.0] * 3
    assert model.state.assignments is not None
    assert 1 not in model.state.assignments.labels.tolist()
    assert "no sample is left" not in caplog.text


def test_what_has_changed_since_the_refresh_before(tmp_path: Path) -> None:
    model = dec(clustering=CLUSTERING, n_clusters=6)  # more clusters than blobs, so that some blobs are cut
    observe, logger, refreshes = Observe(), Memory(), Refreshes()
    trainer(tmp_path, observe, refreshes, logger=logger).fit(model, Blobs())
    start = observe.phases.index("clustering")
    assert [seen.step - start for seen in refreshes.seen] == [0, 3, 6]
    expected = []
    for seen in refreshes.seen:
        then = observe.weights[seen.step]
        expected.append(cdist(embeddings(then), then["model.head.centroids"].double().numpy()).argmin(1))
        assert seen.labels.tolist() == expected[-1].tolist()
    assert refreshes.seen[0].changed is None
    shares = [float(np.mean(before != after)) for before, after in pairwise(expected)]
    assert [seen.changed for seen in refreshes.seen[1:]] == pytest.approx(shares)
    assert logged(logger, "train/labels_changed") == pytest.approx(shares)
    assert max(shares) > 0


def test_changes_are_counted_anew_in_each_phase(tmp_path: Path) -> None:
    """Between two phases, k-means sets the centroids again, so few changes there are not convergence."""
    model, refreshes = dec(clustering=CLUSTERING), Refreshes()
    model.phases = (*model.phases, dataclasses.replace(model.phases[-1], name="again"))
    trainer(tmp_path, refreshes).fit(model, Blobs())
    assert [seen.step - 8 for seen in refreshes.seen] == [0, 3, 6, 7, 10, 13]
    assert [seen.changed is None for seen in refreshes.seen] == [True, False, False] * 2


def test_scores_need_labels(tmp_path: Path) -> None:
    names = []
    for y in ("true", "none", "unknown"):
        logger = Memory()
        trainer(tmp_path, logger=logger).fit(dec(clustering=CLUSTERING), Blobs(y))
        names.append({name for row in logger.rows for name in row})
    assert names[0] - names[1] == {"train/acc", "train/nmi", "train/ari"}
    assert names[1] == names[2]
    assert {"train/entropy", "train/labels_changed", "clusters/size_02", "clusters/died"} <= names[1]


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({}, [0]),
        ({"every_n_steps": 2}, [0, 2, 4, 6]),
        ({"every_n_epochs": 1}, [0, 4]),
    ],
)
def test_it_refreshes_at_the_beginning_and_then_at_its_interval(
    tmp_path: Path, arguments: dict[str, int | None], steps: list[int]
) -> None:
    phase = PhaseConfig(max_steps=7, loss_weights=DCN_WEIGHTS, optimizer=SLOW)
    refreshes, observe = Refreshes(), Observe()
    trainer(tmp_path, refreshes, observe).fit(dcn(clustering=phase, refresh=REFRESH(**arguments)), Blobs())
    start = observe.phases.index("clustering")
    assert [seen.step - start for seen in refreshes.seen] == steps


def test_clusters_keep_their_numbers_when_kmeans_finds_them_in_another_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = PhaseConfig(max_steps=11, loss_weights={"kl": 1.0}, optimizer=SGD)
    order = torch.tensor([1, 2, 0])
    calls: list[bool] = []

    def shuffled(*args: Any, **kwargs: Any) -> SimpleNamespace:
        result = kmeans(*args, **kwargs)
        again = not isinstance(kwargs["init"], str)
        calls.append(again)
        if not again:
            return SimpleNamespace(centroids=result.centroids, labels=result.labels)
        return SimpleNamespace(centroids=result.centroids[order], labels=order.argsort()[result.labels])

    fitted = []
    for patched in (False, True):
        if patched:
            monkeypatch.setattr(centroid_refresh, "kmeans", shuffled)
        model = dec(clustering=phase, kmeans=KMeansConfig(n_init=3, every_n_steps=3))
        trainer(tmp_path).fit(model, Blobs())
        assert model.state.assignments is not None
        fitted.append((weights(model), model.state.assignments))
    assert calls == [False, True, True, True]
    assert torch.equal(fitted[0][0], fitted[1][0])
    assert torch.equal(fitted[0][1].labels, fitted[1][1].labels)
    assert fitted[0][1].changed == fitted[1][1].changed
