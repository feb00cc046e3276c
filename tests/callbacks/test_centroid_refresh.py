from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules import Samples
from lightning_dc import InputError, KMeansConfig, PhaseConfig
from lightning_dc.callbacks import CentroidRefresh
from lightning_dc.kmeans import MiniBatchKMeans, kmeans
from tests.helpers.methods import SGD, Blobs, Observe, dec, trainer


def test_centroids_are_refreshed_from_where_they_are(tmp_path: Path) -> None:
    """After every second step, the centroids are the fixed point of k-means from the trained centroids."""
    phase = PhaseConfig(max_steps=6, loss_weights={"kl": 1.0}, optimizer=SGD)
    observe = Observe()
    model = dec(clustering=phase, kmeans=KMeansConfig(n_init=3, every_n_steps=2))
    trainer(tmp_path, observe).fit(model, Blobs())
    start = observe.phases.index("clustering")
    x = Blobs().train_dataloader().read(0, 150).x
    probe = dec()
    for step in (2, 4):
        probe.load_state_dict(observe.weights[start + step], strict=False)
        centroids = observe.weights[start + step]["model.head.centroids"]
        again = kmeans(probe.embed(x).detach(), 3, init=centroids)
        torch.testing.assert_close(again.centroids, centroids, rtol=0, atol=1e-2)


class ManyBlobs(Blobs):
    """DataModule of four chunks of samples, sorted by their class."""

    def load(self) -> Samples:
        random = np.random.default_rng(0)
        y = np.repeat(np.arange(3), 5000)
        return Samples(random.normal(scale=3, size=(3, 6))[y] + random.normal(size=(15_000, 6)), y)


def placed(tmp_path: Path, kmeans: Any, **arguments: Any) -> tuple[Tensor, Tensor]:
    """Return the centroids of k-means at the beginning of clustering, and the embeddings at that time."""
    phase = PhaseConfig(max_steps=1, loss_weights={"kl": 1.0}, optimizer=functools.partial(torch.optim.SGD, lr=0.0))
    model = dec(clustering=phase, kmeans=KMeansConfig(n_init=3, algorithm=kmeans), **arguments)
    data = ManyBlobs(batch_size=1000)
    trainer(tmp_path).fit(model, data)
    z = model.embed(data.train_dataloader().read(0, 15_000).x)
    return model.model.head.centroids.detach().double(), z.detach().double()


def inertia(centroids: Tensor, z: Tensor) -> float:
    return float(torch.cdist(z, centroids).min(1).values.square().sum())


def test_mini_batches_come_close_to_exact_k_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, z = placed(tmp_path, "exact")
    monkeypatch.setattr("lightning_dc.callbacks.centroid_refresh.embed_owned", None)  # the table is never built
    in_batches, again = placed(tmp_path, "mini_batch")
    assert torch.equal(z, again)
    assert not torch.equal(in_batches, exact)
    assert inertia(in_batches, z) < 1.005 * inertia(exact, z)
    assert torch.equal(placed(tmp_path, "mini_batch")[0], in_batches)


def test_more_clusters_than_rows_of_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is used, including those of the short last chunk."""
    chunk, n_clusters = 16, 20
    seen: list[int] = []
    for module in ("centroid_refresh", "training.full_pass", "distributed"):
        name = f"callbacks.{module}" if module == "centroid_refresh" else module
        monkeypatch.setattr(f"lightning_dc.{name}.CHUNK_SIZE", chunk)
    monkeypatch.setattr("lightning_dc.callbacks.centroid_refresh._MOST_CHUNKS", 1)
    fit = MiniBatchKMeans.partial_fit
    monkeypatch.setattr(MiniBatchKMeans, "partial_fit", lambda self, x: (seen.append(len(x)), fit(self, x))[1])
    phase = PhaseConfig(max_steps=1, loss_weights={"kl": 1.0}, optimizer=functools.partial(torch.optim.SGD, lr=0.0))
    trainer(tmp_path).fit(dec(clustering=phase, n_clusters=n_clusters, kmeans=KMeansConfig(3, "mini_batch")), Blobs())
    assert sorted(seen) == [150 % chunk] + [chunk] * (150 // chunk)


def test_large_tables_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``auto``, the limit decides. Embeddings have 30,000 numbers here, P 45,000."""
    for module in ("centroid_refresh", "target_distribution_refresh", "assignment_refresh"):
        monkeypatch.setattr(f"lightning_dc.callbacks.{module}.LARGE_TABLE", 30_000)
    exact, _ = placed(tmp_path, "exact")
    automatic, _ = placed(tmp_path, "auto")
    assert torch.equal(automatic, exact)
    for module in ("centroid_refresh", "target_distribution_refresh", "assignment_refresh"):
        monkeypatch.setattr(f"lightning_dc.callbacks.{module}.LARGE_TABLE", 29_999)
    monkeypatch.setattr("lightning_dc.callbacks.centroid_refresh.embed_owned", None)
    assert torch.equal(placed(tmp_path, "auto")[0], placed(tmp_path, "mini_batch")[0])
    model = dec(clustering=PhaseConfig(max_steps=1, loss_weights={"kl": 1.0}, optimizer=SGD))
    trainer(tmp_path).fit(model, ManyBlobs(batch_size=1000))
    assert model.state.target_distribution.table is None
    assert len(model.state.target_distribution.frequencies) == 3


def test_clusters_keep_their_numbers_in_mini_batches(tmp_path: Path) -> None:
    phase = PhaseConfig(max_steps=6, loss_weights={"kl": 1.0}, optimizer=SGD)
    model = dec(
        clustering=phase,
        kmeans=KMeansConfig(n_init=3, algorithm="mini_batch", every_n_steps=2),
        pretraining=PhaseConfig(max_epochs=20, loss_weights={"reconstruction": 1.0}),
    )
    observe = Observe()
    trainer(tmp_path, observe).fit(model, ManyBlobs(batch_size=1000))
    start = observe.phases.index("clustering")
    for step in (2, 4):
        before = observe.weights[start + step - 1]["model.head.centroids"]
        after = observe.weights[start + step]["model.head.centroids"]
        assert torch.cdist(after, before).argmin(1).tolist() == [0, 1, 2]


def test_an_unknown_k_means_is_refused() -> None:
    with pytest.raises(InputError, match="kmeans='lloyd' is unknown; choose from auto, exact, mini_batch"):
        dec(kmeans=KMeansConfig(algorithm="lloyd"))


@pytest.mark.parametrize("arguments", [(0, None), (1, 0)])
def test_bad_values(arguments: tuple[int, int | None]) -> None:
    with pytest.raises(InputError, match="must be at least 1"):
        CentroidRefresh(*arguments)
