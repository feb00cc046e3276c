"""Deep Embedded Clustering."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import (
    CentroidRefresh,
    LabelChangeStop,
    LossLogger,
    PhaseScheduler,
    TargetDistributionRefresh,
)
from lightning_dc.callbacks.centroid_refresh import KMeansName
from lightning_dc.encoders import AutoencoderFactory, MLPAutoencoder
from lightning_dc.heads import StudentTHead
from lightning_dc.losses import KLTarget, Reconstruction
from lightning_dc.methods.pretraining import LAYERWISE, PRETRAINING, pretraining_phases
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig


class DEC(ClusteringModule):
    """DEC (Xie, Girshick and Farhadi 2016, https://arxiv.org/abs/1511.06335).

    An autoencoder is pretrained, layer by layer (``layerwise``) and as a whole (``pretraining``); k-means over the
    embeddings of the whole training set places the centroids; then encoder and centroids are trained to bring the
    soft assignments Q closer to the target distribution P (``clustering``). P comes from the whole training set, and
    training stops when hardly any label changes between two refreshes of it.

    With an augmentation, P comes from the clean samples and Q from augmented ones (DEC-DA, Guo et al. 2018,
    https://proceedings.mlr.press/v95/guo18b.html). ``clustering.trainable=[head]`` is the paper's "DEC w/o backprop".

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: builds the autoencoder from ``input_shape``.
        nu: degrees of freedom of the Student-t kernel (the paper's alpha).
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining of *each* layer; its length is that of one layer.
        pretraining: training of the whole autoencoder.
        clustering: training of encoder and centroids, and of the decoder if the loss has a reconstruction term.
        refresh_every_n_steps: steps between two refreshes of P (140 to 160 for MNIST, 20 to 30 for 10,000 samples).
        tolerance: clustering stops when fewer than this share of the labels change between two refreshes.
        n_init: restarts of k-means.
        refresh_centroids_every_n_steps: steps between two runs of k-means from the centroids as they are; None leaves
            them to the optimizer, as DEC does.
        keep_target_table: hold P for every sample; False holds K cluster frequencies instead of N x K numbers; None
            holds up to 2^26 of these.
        kmeans: ``exact``, ``mini_batch``, or ``auto``; see :class:`~lightning_dc.callbacks.CentroidRefresh`.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> model = DEC(input_shape=(64,), n_clusters=10)
        >>> [phase.name for phase in model.phases]
        ['pretraining', 'clustering']
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
        clustering: PhaseConfig = PhaseConfig(max_epochs=50, loss_weights={"kl": 1.0}),
        refresh_every_n_steps: int = 140,
        tolerance: float = 0.001,
        n_init: int = 20,
        refresh_centroids_every_n_steps: int | None = None,
        keep_target_table: bool | None = None,
        kmeans: KMeansName = "auto",
    ) -> None:
        network = autoencoder(input_shape)
        head = StudentTHead(n_clusters, network.latent_dim, nu)
        super().__init__(network, head, {"reconstruction": Reconstruction(), "kl": KLTarget()}, augmentation)
        self.layerwise = layerwise
        self.pretraining = pretraining
        self.clustering = clustering
        self.method_callbacks = [
            CentroidRefresh(n_init, refresh_centroids_every_n_steps, kmeans=kmeans),
            LossLogger(),
            TargetDistributionRefresh(refresh_every_n_steps, keep_table=keep_target_table),
            LabelChangeStop(tolerance),
            PhaseScheduler(),
        ]
        self.save_hyperparameters()
        self.set_phases()

    def configure_phases(self) -> list[Phase]:
        decodes = "reconstruction" in self.clustering.loss_weights
        parts = ("encoder", "decoder", "head") if decodes else ("encoder", "head")
        return [
            *pretraining_phases(self.autoencoder, self.layerwise, self.pretraining),
            Phase("clustering", self.clustering, self.clustering.parts(parts), initializes_centroids=True),
        ]
