"""Deep Clustering Network."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import (
    AssignmentRefresh,
    CentroidRefresh,
    CountedCentroidUpdate,
    LabelChangeStop,
    LossLogger,
    PhaseScheduler,
)
from lightning_dc.encoders import AutoencoderFactory, MLPAutoencoder
from lightning_dc.errors import InputError
from lightning_dc.heads import NearestCentroidHead
from lightning_dc.losses import KMeansLoss, Reconstruction
from lightning_dc.methods.pretraining import AUTOENCODER, LAYERWISE, PRETRAINING, pretraining_phases
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig


class DCN(ClusteringModule):
    """DCN (Yang et al. 2017, https://arxiv.org/abs/1610.04794): an autoencoder with the k-means loss.

    An autoencoder is pretrained; k-means over the embeddings of the whole training set places the centroids; then
    three steps alternate for each batch: the autoencoder learns to reconstruct and to bring each embedding closer to
    its nearest centroid, samples are assigned, and each pulls its centroid by one over the number of samples that did
    before. From time to time k-means runs over the whole set, from the centroids as they are.

    Both terms are squared errors summed over their dimensions and averaged over the batch, with weights of 1 as in the
    authors' code. The reconstruction error is that sum in pretraining, too: a learning rate of plain SGD is to be
    smaller than that of DEC, whose error is a mean, by the number of features; Adam does not mind. An assignment is
    that of the sample's present embedding; the authors' code takes the one of its last visit.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: builds the autoencoder from ``input_shape``.
        augmentation: random transform of training batches; None for none. Centroids follow the clean samples.
        layerwise: greedy pretraining of *each* layer; its length is that of one layer.
        pretraining: training of the whole autoencoder.
        clustering: joint training of reconstruction and clustering.
        refresh_every_n_steps: steps between two refreshes of centroids and assignments over the whole training set;
            None leaves it to ``refresh_every_n_epochs``, which must be None otherwise.
        refresh_every_n_epochs: the same in epochs; the paper's code has 10.
        tolerance: clustering stops when fewer than this share of the labels change between two refreshes.
        n_init: restarts of the first k-means.
        initial_count: number of samples that a centroid of k-means stands for in the updates that follow.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> [phase.name for phase in DCN(input_shape=(64,), n_clusters=10).phases]
        ['pretraining', 'clustering']
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        autoencoder: AutoencoderFactory = MLPAutoencoder,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PRETRAINING,
        clustering: PhaseConfig = PhaseConfig(max_epochs=50, loss_weights={"reconstruction": 1.0, "kmeans": 1.0}),
        refresh_every_n_steps: int | None = None,
        refresh_every_n_epochs: int | None = 10,
        tolerance: float = 0.001,
        n_init: int = 20,
        initial_count: int = 100,
    ) -> None:
        network = autoencoder(input_shape)
        head = NearestCentroidHead(n_clusters, network.latent_dim)
        losses = {"reconstruction": Reconstruction(reduction="sum"), "kmeans": KMeansLoss()}
        super().__init__(network, head, losses, augmentation)
        self.layerwise = layerwise
        self.pretraining = pretraining
        self.clustering = clustering
        if "head" in clustering.parts(()):
            raise InputError("trainable of DCN's clustering names head, but its centroids follow the samples; leave it")
        self.method_callbacks = [
            CountedCentroidUpdate(initial_count),
            CentroidRefresh(n_init, refresh_every_n_steps, refresh_every_n_epochs),
            LossLogger(),
            AssignmentRefresh(refresh_every_n_steps, refresh_every_n_epochs),
            LabelChangeStop(tolerance),
            PhaseScheduler(),
        ]
        self.save_hyperparameters()
        self.set_phases()

    def configure_phases(self) -> list[Phase]:
        parts = self.clustering.parts(AUTOENCODER)
        return [
            *pretraining_phases(self.autoencoder, self.layerwise, self.pretraining),
            Phase("clustering", self.clustering, parts, initializes_centroids=True),
        ]
