from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lightning_dc import InputError, PhaseConfig
from lightning_dc.callbacks import CentroidRefresh
from lightning_dc.kmeans import kmeans
from tests.methods.test_dec import SGD, Blobs, Observe, dec, trainer


def test_centroids_are_refreshed_from_where_they_are(tmp_path: Path) -> None:
    """After every second step the centroids are the fixed point of k-means that starts from the trained ones."""
    phase = PhaseConfig(max_steps=6, loss_weights={"kl": 1.0}, optimizer=SGD)
    observe = Observe()
    model = dec(clustering=phase, refresh_centroids_every_n_steps=2)
    trainer(tmp_path, observe).fit(model, Blobs())
    start = observe.phases.index("clustering")
    x = Blobs().train_dataloader().read(0, 150).x
    probe = dec()
    for step in (2, 4):
        probe.load_state_dict(observe.weights[start + step], strict=False)
        centroids = observe.weights[start + step]["head.centroids"]
        again = kmeans(probe.embed(x).detach(), 3, init=centroids)
        torch.testing.assert_close(again.centroids, centroids, rtol=0, atol=1e-2)


@pytest.mark.parametrize("arguments", [(0, None), (1, 0)])
def test_bad_values(arguments: tuple[int, int | None]) -> None:
    with pytest.raises(InputError, match="must be at least 1"):
        CentroidRefresh(*arguments)
