"""Improved Deep Embedded Clustering."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks.centroid_refresh import KMeansName
from lightning_dc.encoders import AutoencoderFactory, MLPAutoencoder
from lightning_dc.methods.dec import DEC
from lightning_dc.methods.pretraining import LAYERWISE, PRETRAINING
from lightning_dc.training import PhaseConfig


class IDEC(DEC):
    """IDEC (Guo et al. 2017, https://www.ijcai.org/proceedings/2017/243): DEC that keeps its decoder.

    While it clusters, the loss is L_r + gamma L_c (eq. 6), with the reconstruction error of the whole autoencoder for
    L_r, the divergence of DEC for L_c, and gamma = 0.1. Both are entries of ``clustering.loss_weights``, numbers or
    schedules. Aljalbout et al. (2018, https://arxiv.org/abs/1801.07648) weight both by 1 and run k-means on the trained
    embedding at last: ``--summary.recluster kmeans``.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: builds the autoencoder from ``input_shape``.
        nu: degrees of freedom of the Student-t kernel.
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining of *each* layer; its length is that of one layer.
        pretraining: training of the whole autoencoder.
        clustering: training of encoder, decoder and centroids.
        refresh_every_n_steps: steps between two refreshes of P.
        tolerance: clustering stops when fewer than this share of the labels change between two refreshes.
        n_init: restarts of k-means.
        refresh_centroids_every_n_steps: steps between two runs of k-means from the centroids as they are; None leaves
            them to the optimizer.
        keep_target_table: hold P for every sample; False holds K cluster frequencies instead of N x K numbers; None
            holds up to 2^26 of these.
        kmeans: ``exact``, ``mini_batch``, or ``auto``; see :class:`~lightning_dc.callbacks.CentroidRefresh`.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> IDEC(input_shape=(64,), n_clusters=10).phases[-1].trainable
        ('encoder', 'decoder', 'head')
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        autoencoder: AutoencoderFactory = MLPAutoencoder,
        nu: float = 1.0,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PRETRAINING,
        clustering: PhaseConfig = PhaseConfig(max_epochs=50, loss_weights={"reconstruction": 1.0, "kl": 0.1}),
        refresh_every_n_steps: int = 140,
        tolerance: float = 0.001,
        n_init: int = 20,
        refresh_centroids_every_n_steps: int | None = None,
        keep_target_table: bool | None = None,
        kmeans: KMeansName = "auto",
    ) -> None:
        super().__init__(
            input_shape=input_shape,
            n_clusters=n_clusters,
            autoencoder=autoencoder,
            nu=nu,
            augmentation=augmentation,
            layerwise=layerwise,
            pretraining=pretraining,
            clustering=clustering,
            refresh_every_n_steps=refresh_every_n_steps,
            tolerance=tolerance,
            n_init=n_init,
            refresh_centroids_every_n_steps=refresh_centroids_every_n_steps,
            keep_target_table=keep_target_table,
            kmeans=kmeans,
        )
