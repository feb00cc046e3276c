"""Phases that train nothing, before phases that do."""

from __future__ import annotations

from pathlib import Path

import torch

from lightning_dc import DEC, PhaseConfig
from lightning_dc.training import Phase
from tests.helpers.methods import Blobs, Observe, dec, trainer


def test_a_phase_without_losses_leaves_the_next_one_alone(tmp_path: Path) -> None:
    """The parameters that the loss of one phase does not reach are those of that phase alone."""
    model: DEC = dec()
    pretraining, clustering = model.phases
    empty = Phase("k-means", PhaseConfig(max_steps=1), (), has_clusters=True, initializes_centroids=True)
    model.phases = (pretraining, empty, clustering)
    observe = Observe()
    trainer(tmp_path, observe).fit(model, Blobs())
    first = observe.phases.index("clustering")
    name = next(name for name in observe.weights[first] if name.startswith("model.network.encoder"))
    assert not torch.equal(observe.weights[first][name], observe.weights[first + 1][name])
