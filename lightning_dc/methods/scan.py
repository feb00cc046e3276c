"""Semantic clustering by consistent neighbours."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import (
    ComponentFit,
    EvenBatches,
    HeadChoice,
    LossLogger,
    NeighbourRefresh,
    PhaseScheduler,
    TargetDistributionRefresh,
)
from lightning_dc.encoders import ConvEncoder, EncoderFactory, LayerFeatures, Representation
from lightning_dc.errors import InputError
from lightning_dc.heads import CentroidHead, HeadFactory, SoftmaxHead
from lightning_dc.losses import Balance, ConditionalEntropy, KLTarget, LossTerm, NeighbourConsistency, ViewConsistency
from lightning_dc.methods.settings import NeighbourConfig, RefreshConfig
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig

_PARTS = ("encoder", "head")
_EVERY_5_EPOCHS = (None, 5)


class SCAN(ClusteringModule):
    """Clustering by consistent neighbours, as in SCAN (Van Gansbeke et al. 2020, https://arxiv.org/abs/2005.12320).

    A classifier without labels learns to put a sample and its nearest neighbours into the same cluster
    (``consistency``), while a balance term keeps all clusters in use. Each step sees a random neighbour of each sample,
    and both are augmented independently. Several heads are trained at once, and the one with the largest mutual
    information gives the clusters. The clusters may then be sharpened by training augmented samples towards the target
    distribution P of the clean ones (``self_labelling``).

    *Deviations from the paper.* The network starts from random weights: the first neighbours are those of the inputs,
    and later ones those of the embedding, where the paper has a network that self-supervised learning has pretrained.
    There are 15 of them by default, and balance has the weight 2; the authors have 20, and 5. Heads with more clusters
    are trained beside those with K. Self-labelling is that of DEC, on all samples.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        encoder: class or function that builds the encoder from ``input_shape``.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output.
        head: class or function that builds the clustering head from the number of clusters and the width of the
            representation; None is :class:`~lightning_dc.heads.SoftmaxHead` with eight linear heads with K clusters
            and two with 3 K.
        augmentation: random transform of training batches; None for none.
        neighbours: settings of the nearest neighbours.
        consistency: training of encoder and heads.
        self_labelling: further training towards P; it has no steps unless it is given a length.
        refresh: interval between two refreshes of the assignments and of P, by default 5 epochs; ``tolerance`` and
            ``patience`` have no effect, since phases have the length that they are given.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them, as they weight the method's own terms ``consistency``, ``views``
            (consistency of two views of a sample), ``balance``, ``entropy`` (of each sample) and ``kl`` (to P).

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> model = SCAN((1, 8, 8), n_clusters=10)
        >>> [phase.name for phase in model.phases], len(model.model.head.heads)
        (['consistency'], 10)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        encoder: EncoderFactory = ConvEncoder,
        representation: Sequence[str | LayerFeatures] | None = None,
        head: HeadFactory | None = None,
        augmentation: Augmentation | None = None,
        neighbours: NeighbourConfig = NeighbourConfig(),
        consistency: PhaseConfig = PhaseConfig(max_epochs=50, loss_weights={"consistency": 1.0, "balance": 2.0}),
        self_labelling: PhaseConfig = PhaseConfig(loss_weights={"kl": 1.0}),
        refresh: RefreshConfig = RefreshConfig(),
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        network = encoder(input_shape)
        features = Representation(network, representation)
        if head is None:
            head = functools.partial(SoftmaxHead, n_heads=8, over_clustering=(3, 3))
        clustering_head = head(n_clusters, features.width)
        if isinstance(clustering_head, CentroidHead):
            raise InputError(
                f"head={type(clustering_head).__name__} of SCAN has centroids, which nothing would set; use "
                "SoftmaxHead, or the method DeepClustering"
            )
        refresh_interval = refresh.interval_or(_EVERY_5_EPOCHS)
        super().__init__(
            ClusteringModel(network, clustering_head, features),
            losses={
                "consistency": NeighbourConsistency(),
                "views": ViewConsistency(),
                "balance": Balance(),
                "entropy": ConditionalEntropy(),
                "kl": KLTarget(),
            },
            phases=[
                Phase("consistency", consistency, consistency.parts(_PARTS), has_clusters=True),
                Phase("self-labelling", self_labelling, self_labelling.parts(_PARTS), has_clusters=True),
            ],
            callbacks=[
                EvenBatches(),
                ComponentFit(),
                NeighbourRefresh(
                    neighbours.k, neighbours.metric, neighbours.space, *neighbours.interval_or((None, None))
                ),
                LossLogger(),
                HeadChoice(*refresh_interval),
                TargetDistributionRefresh(
                    *refresh_interval, repair_empty=False, restart_optimizer=refresh.restart_optimizer
                ),
                PhaseScheduler(),
            ],
            augmentation=augmentation,
            extra_losses=extra_losses,
        )
