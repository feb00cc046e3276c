"""Tests of the factors of the adaptive penalty, from data that are read in chunks."""

from __future__ import annotations

import functools
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch

from datamodules import SyntheticDataModule
from lightning_dc import DeepType, KMeansConfig, MLPEncoder, PhaseConfig
from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.functional import null_residuals
from lightning_dc.randomness import mix_seed
from tests.helpers.methods import trainer


def test_factors_are_those_of_all_samples_at_once(tmp_path: Path) -> None:
    data = SyntheticDataModule(CHUNK_SIZE + 900, 6, 2, 3, 0.3, target="class", scaling="standard", batch_size=1000)
    pl.seed_everything(0, verbose=False)
    one = PhaseConfig(max_steps=1, loss_weights={"task": 1.0, "sparsity": 0.0})
    encoder = functools.partial(MLPEncoder, hidden_dims=[4])
    model = DeepType(
        (6,), data.target_spec, 3, encoder, gamma=1.5, pretraining=one, joint=PhaseConfig(), kmeans=KMeansConfig(1)
    )
    trainer(tmp_path, precision="64-true").fit(model, data)

    samples = data.load()
    x = (samples.x - samples.x.mean(0)) / samples.x.std(0)
    parts = [x, (x**2 - 1) / (x**2).std(0)]
    residuals = null_residuals(torch.as_tensor(samples.targets), "class")
    random = torch.Generator().manual_seed(mix_seed(0, 0))
    orders = [torch.arange(len(x)), *(torch.randperm(len(x), generator=random) for _ in range(100))]
    sums = [[(part.T @ residuals[order].numpy()) ** 2 for part in parts] for order in orders]
    statistics = np.sqrt([np.sum(both, (0, 2)) for both in sums])
    evidence = statistics[0] / np.quantile(statistics[1:].max(1), 0.99)
    factors = model.losses["sparsity"].group_weights.numpy()
    np.testing.assert_allclose(factors, np.sqrt(4) * evidence**-1.5, rtol=1e-6)
    assert (evidence[:2] > 1).all()
    assert (evidence[2:] < 1).all()
