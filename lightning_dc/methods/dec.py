"""Deep Embedded Clustering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import (
    CentroidRefresh,
    ComponentFit,
    LabelChangeStop,
    LossLogger,
    PhaseScheduler,
    TargetDistributionRefresh,
)
from lightning_dc.encoders import AutoencoderFactory, LayerFeatures, MLPAutoencoder, Representation
from lightning_dc.errors import InputError
from lightning_dc.heads import CentroidHead, HeadFactory, StudentTHead
from lightning_dc.losses import KLTarget, LossTerm, Reconstruction
from lightning_dc.methods.momentum_sgd import MomentumSGD
from lightning_dc.methods.pretraining import LAYERWISE, PRETRAINING, pretraining_phases
from lightning_dc.methods.settings import KMeansConfig, RefreshConfig
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig

_EVERY_140_STEPS = (140, None)


class DEC(ClusteringModule):
    """DEC (Xie, Girshick and Farhadi 2016, https://arxiv.org/abs/1511.06335).

    An autoencoder is pretrained, layer by layer (``layerwise``) and as a whole (``pretraining``). K-means over the
    embeddings of the whole training set sets the centroids. Then encoder and centroids are trained to bring the soft
    assignments Q closer to the target distribution P (``clustering``). P is computed from the whole training set, and
    training stops when hardly any label has changed between two refreshes of P.

    With an augmentation, P comes from the clean samples and Q from augmented ones (DEC-DA, Guo et al. 2018,
    https://proceedings.mlr.press/v95/guo18b.html). ``clustering.trainable=[head]`` is the paper's "DEC w/o backprop".

    *Deviations from the paper.* The optimizer keeps its momentum from one refresh of P to the next, while the authors'
    code (https://github.com/piiswrong/dec) starts anew with each: ``RefreshConfig(restart_optimizer=True)`` does that.
    Batches are drawn at random in each epoch, not in the order of the data. Layers are pretrained one by one only if
    ``layerwise`` is given a length, and pretraining takes 50 epochs of Adam. A centroid that loses its last sample
    moves to one that is far from its own centroid. The configuration ``dec_mnist_paper`` has the paper's schedule.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: class or function that builds the autoencoder from ``input_shape``.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output.
        nu: degrees of freedom of the Student-t kernel (the paper's alpha).
        head: class or function that builds the clustering head from the number of clusters and the width of the
            representation; None is :class:`~lightning_dc.heads.StudentTHead` with ``nu``. A head without centroids
            needs no k-means.
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining, layer by layer; its length is that of *one* layer.
        pretraining: training of the whole autoencoder.
        clustering: training of encoder and centroids, and of the decoder if the loss has a reconstruction term; by
            default with SGD, a learning rate of 0.01 and a momentum of 0.9, as in the paper. A ``PhaseConfig`` of your
            own that names no optimizer has Adam.
        kmeans: settings of k-means, which sets the centroids.
        refresh: settings of the refresh of P and the assignments, and of convergence.
        keep_p_table: True holds P for every sample, N x K numbers; False holds only the K cluster frequencies; None
            holds P for every sample if it has at most 2^26 numbers.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them.

    Raises:
        InputError: an argument is out of range.

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
        representation: Sequence[str | LayerFeatures] | None = None,
        nu: float = 1.0,
        head: HeadFactory | None = None,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PRETRAINING,
        clustering: PhaseConfig = PhaseConfig(max_epochs=50, optimizer=MomentumSGD, loss_weights={"kl": 1.0}),
        kmeans: KMeansConfig = KMeansConfig(),
        refresh: RefreshConfig = RefreshConfig(),
        keep_p_table: bool | None = None,
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        if head is not None and nu != 1.0:
            raise InputError(f"nu={nu} is that of StudentTHead, but head is given; leave one of them out")
        network = autoencoder(input_shape)
        features = Representation(network, representation)
        width = features.width
        clustering_head = StudentTHead(n_clusters, width, nu) if head is None else head(n_clusters, width)
        decodes = "reconstruction" in clustering.loss_weights
        parts = clustering.parts(("encoder", "decoder", "head") if decodes else ("encoder", "head"))
        has_centroids = isinstance(clustering_head, CentroidHead)
        super().__init__(
            ClusteringModel(network, clustering_head, features),
            losses={"reconstruction": Reconstruction(), "kl": KLTarget()},
            phases=[
                *pretraining_phases(network, layerwise, pretraining),
                Phase("clustering", clustering, parts, has_clusters=True, initializes_centroids=has_centroids),
            ],
            callbacks=[
                ComponentFit(),
                CentroidRefresh(kmeans.n_init, *kmeans.interval_or((None, None)), kmeans=kmeans.algorithm),
                LossLogger(),
                TargetDistributionRefresh(
                    *refresh.interval_or(_EVERY_140_STEPS),
                    keep_table=keep_p_table,
                    restart_optimizer=refresh.restart_optimizer,
                ),
                LabelChangeStop(refresh.tolerance, refresh.patience),
                PhaseScheduler(),
            ],
            augmentation=augmentation,
            extra_losses=extra_losses,
        )
