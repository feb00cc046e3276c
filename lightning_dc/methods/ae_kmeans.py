"""An autoencoder, then k-means."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import AssignmentRefresh, CentroidRefresh, LossLogger, PhaseScheduler
from lightning_dc.callbacks.centroid_refresh import KMeansName
from lightning_dc.encoders import AutoencoderFactory, MLPAutoencoder
from lightning_dc.heads import NearestCentroidHead
from lightning_dc.losses import Reconstruction
from lightning_dc.methods.pretraining import LAYERWISE, PRETRAINING, pretraining_phases
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig


class AEKMeans(ClusteringModule):
    """AE+k-means, the baseline of the DEC paper (Xie et al. 2016, https://arxiv.org/abs/1511.06335, section 4.3).

    An autoencoder is trained, then k-means runs on the embeddings of the whole training set. With the autoencoder
    ``Identity`` and no pretraining it is k-means on the raw data.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: builds the autoencoder from ``input_shape``.
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining of *each* layer; its length is that of one layer.
        pretraining: training of the whole autoencoder.
        n_init: restarts of k-means.
        kmeans: ``exact``, ``mini_batch``, or ``auto``; see :class:`~lightning_dc.callbacks.CentroidRefresh`.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> from lightning_dc.encoders import Identity
        >>> raw = AEKMeans((64,), 10, autoencoder=Identity, pretraining=PhaseConfig())
        >>> [phase.name for phase in raw.phases]
        ['k-means']
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        autoencoder: AutoencoderFactory = MLPAutoencoder,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PRETRAINING,
        n_init: int = 20,
        kmeans: KMeansName = "auto",
    ) -> None:
        network = autoencoder(input_shape)
        head = NearestCentroidHead(n_clusters, network.latent_dim)
        super().__init__(network, head, {"reconstruction": Reconstruction()}, augmentation)
        self.layerwise = layerwise
        self.pretraining = pretraining
        self.method_callbacks = [
            CentroidRefresh(n_init, kmeans=kmeans),
            LossLogger(),
            AssignmentRefresh(),
            PhaseScheduler(),
        ]
        self.save_hyperparameters()
        self.set_phases()

    def configure_phases(self) -> list[Phase]:
        # A step in which nothing trains: what happens at its beginning counts.
        kmeans = Phase("k-means", PhaseConfig(max_steps=1), (), initializes_centroids=True)
        return [*pretraining_phases(self.autoencoder, self.layerwise, self.pretraining), kmeans]
