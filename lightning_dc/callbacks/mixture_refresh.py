"""Refresh of a Gaussian mixture by the EM algorithm."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import set_shared_
from lightning_dc.errors import InputError
from lightning_dc.heads import ClusteringHead, GaussianMixtureHead
from lightning_dc.mixture import gaussian_mixture
from lightning_dc.randomness import mix_seed
from lightning_dc.training import ClusteringModule, HeadFit, embed_owned, place_centroids, record, training_loader


class MixtureRefresh(Refresh, HeadFit):
    """Callback that fits the mixture of a :class:`~lightning_dc.heads.GaussianMixtureHead` when a phase begins.

    The mixture is that of the embeddings of the whole training set, of which each process holds its own rows; see
    :func:`~lightning_dc.mixture.gaussian_mixture`. Its mean log-likelihood is logged as ``mixture/log_likelihood``.

    Args:
        shrinkage: weight of the common covariance, in mean sizes of a component.

    Raises:
        InputError: ``shrinkage`` is negative.
    """

    def __init__(self, shrinkage: float) -> None:
        if not shrinkage >= 0:
            raise InputError(f"shrinkage={shrinkage} must not be negative; .inf gives all components one shape")
        super().__init__()
        self.shrinkage = shrinkage

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        head = module.model.head
        assert isinstance(head, GaussianMixtureHead)
        loader = training_loader(module)
        mixture = gaussian_mixture(
            embed_owned(module, loader),
            head.n_clusters,
            shrinkage=self.shrinkage,
            n_total=loader.n_samples,
            generator=torch.Generator().manual_seed(mix_seed(module.state.seed, module.global_step)),
        )
        place_centroids(module, mixture.means)
        set_shared_(head.log_weights, mixture.log_weights)
        set_shared_(head.factors, mixture.factors)
        record(module, {"mixture/log_likelihood": mixture.log_likelihood})

    @torch.no_grad()
    def fit_copy(self, head: ClusteringHead, z: Tensor, generator: torch.Generator) -> ClusteringHead:
        assert isinstance(head, GaussianMixtureHead)
        copied = copy.deepcopy(head)
        mixture = gaussian_mixture(z, head.n_clusters, shrinkage=self.shrinkage, generator=generator)
        copied.centroids.copy_(mixture.means)
        copied.log_weights.copy_(mixture.log_weights)
        copied.factors.copy_(mixture.factors)
        return copied
