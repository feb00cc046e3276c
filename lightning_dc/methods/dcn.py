"""Deep Clustering Network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import (
    AssignmentRefresh,
    CentroidRefresh,
    CountedCentroidUpdate,
    LabelChangeStop,
    LossLogger,
    PhaseScheduler,
)
from lightning_dc.encoders import AutoencoderFactory, LayerFeatures, MLPAutoencoder, Representation
from lightning_dc.errors import InputError
from lightning_dc.heads import NearestCentroidHead
from lightning_dc.losses import KMeansLoss, LossTerm, Reconstruction
from lightning_dc.methods.pretraining import AUTOENCODER, LAYERWISE, PRETRAINING, pretraining_phases
from lightning_dc.methods.settings import KMeansConfig, RefreshConfig
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig


class DCN(ClusteringModule):
    """DCN (Yang et al. 2017, https://arxiv.org/abs/1610.04794): an autoencoder with the k-means loss.

    An autoencoder is pretrained, and k-means over the embeddings of the whole training set sets the centroids. Then
    each batch has three steps: the autoencoder learns to reconstruct and to bring each embedding closer to its nearest
    centroid; the samples are assigned; and each sample moves its centroid by one over the number of samples that have
    moved it before. K-means over the whole set runs periodically, starting from the present centroids.

    Both terms are squared errors that are summed over their dimensions and averaged over the batch. The reconstruction
    error is such a sum in pretraining, too. With plain SGD, the learning rate must therefore be smaller than that of
    DEC, whose error is a mean, by a factor of the number of features; with Adam it can be the same.

    *Deviations from the paper.* The weights of both terms are 1, as in the authors' code
    (https://github.com/boyangumn/DCN-New), where the paper has lambda / 2 for the clusters. Samples are assigned by
    their present embeddings, while the authors' code uses the assignment of a sample's last visit, and counts begin
    anew whenever k-means runs. Clustering ends when fewer than 0.1 % of the labels change between two refreshes;
    ``RefreshConfig(tolerance=0)`` trains all 50 epochs, as the authors do. They use SGD with Nesterov's momentum, here
    it is Adam.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: class or function that builds the autoencoder from ``input_shape``.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output.
        augmentation: random transform of training batches; None for none. Centroids follow the clean samples.
        layerwise: greedy pretraining, layer by layer; its length is that of *one* layer.
        pretraining: training of the whole autoencoder.
        clustering: joint training of reconstruction and clustering.
        kmeans: settings of k-means, which sets the centroids; without an interval of its own it runs with each refresh.
        refresh: settings of the refresh of assignments and of convergence; the paper's code refreshes every 10 epochs.
        initial_count: number of samples that a centroid of k-means counts for in the updates that follow.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> [phase.name for phase in DCN(input_shape=(64,), n_clusters=10).phases]
        ['pretraining', 'clustering']
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        autoencoder: AutoencoderFactory = MLPAutoencoder,
        representation: Sequence[str | LayerFeatures] | None = None,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PRETRAINING,
        clustering: PhaseConfig = PhaseConfig(max_epochs=50, loss_weights={"reconstruction": 1.0, "kmeans": 1.0}),
        kmeans: KMeansConfig = KMeansConfig(),
        refresh: RefreshConfig = RefreshConfig(),
        initial_count: int = 100,
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        parts = clustering.parts(AUTOENCODER)
        if "head" in parts:
            raise InputError("trainable of DCN's clustering names head, but its centroids follow the samples; leave it")
        interval = refresh.interval_or((None, 10))
        network = autoencoder(input_shape)
        features = Representation(network, representation)
        super().__init__(
            ClusteringModel(network, NearestCentroidHead(n_clusters, features.width), features),
            losses={"reconstruction": Reconstruction(reduction="sum"), "kmeans": KMeansLoss()},
            phases=[
                *pretraining_phases(network, layerwise, pretraining),
                Phase("clustering", clustering, parts, has_clusters=True, initializes_centroids=True),
            ],
            callbacks=[
                CountedCentroidUpdate(initial_count),
                CentroidRefresh(kmeans.n_init, *kmeans.interval_or(interval), kmeans=kmeans.algorithm),
                LossLogger(),
                AssignmentRefresh(*interval, restart_optimizer=refresh.restart_optimizer),
                LabelChangeStop(refresh.tolerance, refresh.patience),
                PhaseScheduler(),
            ],
            augmentation=augmentation,
            extra_losses=extra_losses,
        )
