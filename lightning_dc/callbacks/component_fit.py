"""Computation of principal components before training."""

from __future__ import annotations

from collections.abc import Callable

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.distributed import set_shared_, sum_
from lightning_dc.encoders import PrincipalComponents
from lightning_dc.kmeans.precision import full_precision
from lightning_dc.randomness import mix_seed
from lightning_dc.training import ClusteringModule, clustering_module, read_owned, training_loader

_MOST_FEATURES = 2048  # up to which the whole covariance is computed, F x F
_EXTRA_DIRECTIONS = 10
_N_ITERATIONS = 5


class ComponentFit(Callback):
    """Callback that computes the components of a :class:`~lightning_dc.encoders.PrincipalComponents` encoder.

    It does so when training starts, unless a checkpoint has brought them, over the whole training set, of which each
    process reads its own rows. Up to 2,048 features the components are the eigenvectors of the covariance; of more
    features they are found by subspace iteration from random directions (Halko et al. 2011,
    https://doi.org/10.1137/090771806, algorithm 4.4), which passes over the data six times. A component has a positive
    largest coefficient. The result does not depend on the number of processes, but for rounding.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        network = module.model.network
        if isinstance(network, PrincipalComponents) and not network.is_fitted:
            with full_precision(module.device):
                mean, components = _fit(module, network)
            set_shared_(network.mean, mean)
            set_shared_(network.components, components)


def _fit(module: ClusteringModule, network: PrincipalComponents) -> tuple[Tensor, Tensor]:
    """Return the mean, (F,), zero if samples are not centred, and the components, (D, F), in float64."""
    n_samples, n_features = training_loader(module).n_samples, network.mean.numel()
    mean = _sum(module, lambda x: x.double().sum(0)) / n_samples if network.center else network.mean.double() * 0

    def moments(directions: Tensor | None) -> Tensor:
        """Return the second moments of the samples, (F, F), or their products with directions, (F, L)."""

        def of_chunk(x: Tensor) -> Tensor:
            x = x - mean.to(x.dtype)
            projected = x if directions is None else x @ directions.to(x.dtype)
            return (x.T @ projected).double()

        return _sum(module, of_chunk)

    if n_features <= _MOST_FEATURES:
        values, vectors = torch.linalg.eigh(moments(None))
    else:
        generator = torch.Generator().manual_seed(mix_seed(module.state.seed))
        n_directions = min(network.latent_dim + _EXTRA_DIRECTIONS, n_features)
        basis = torch.randn(n_features, n_directions, generator=generator, dtype=torch.float64).to(module.device)
        basis = torch.linalg.qr(basis).Q
        for _ in range(_N_ITERATIONS):
            basis = torch.linalg.qr(moments(basis)).Q
        values, inner = torch.linalg.eigh(basis.T @ moments(basis))
        vectors = basis @ inner
    components = vectors[:, values.argsort(descending=True)[: network.latent_dim]].T
    largest = components.abs().argmax(1, keepdim=True)
    return mean, components * components.gather(1, largest).sign()


def _sum(module: ClusteringModule, of_chunk: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the sum of a function of the flattened samples of each chunk, over all processes."""
    total: Tensor | None = None
    loader = training_loader(module)
    for _, batch in read_owned(module, loader):
        part = of_chunk(batch.x.flatten(1).to(module.model.wide_dtype))
        total = part if total is None else total + part
    if total is None:  # this process owns no row, and learns the shape from one sample
        batch = module.trainer.strategy.batch_to_device(loader.read(0, 1), module.device)
        total = of_chunk(batch.x.flatten(1).to(module.model.wide_dtype)) * 0
    return sum_(total)
