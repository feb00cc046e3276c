"""An autoencoder, then k-means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import AssignmentRefresh, CentroidRefresh, ComponentFit, LossLogger, PhaseScheduler
from lightning_dc.encoders import AutoencoderFactory, LayerFeatures, MLPAutoencoder, Representation
from lightning_dc.heads import NearestCentroidHead
from lightning_dc.losses import LossTerm, Reconstruction
from lightning_dc.methods.pretraining import LAYERWISE, PRETRAINING, pretraining_phases
from lightning_dc.methods.settings import KMeansConfig
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig


class AEKMeans(ClusteringModule):
    """AE+k-means, the baseline of the DEC paper (Xie et al. 2016, https://arxiv.org/abs/1511.06335, section 4.3).

    An autoencoder is trained, then k-means runs on the embeddings of the whole training set. With the autoencoder
    ``Identity`` and no pretraining, the method is k-means on the raw data.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: class or function that builds the autoencoder from ``input_shape``.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output.
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining, layer by layer; its length is that of *one* layer.
        pretraining: training of the whole autoencoder.
        kmeans: settings of k-means, which sets the centroids.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them.

    Raises:
        InputError: an argument is out of range.

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
        representation: Sequence[str | LayerFeatures] | None = None,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PRETRAINING,
        kmeans: KMeansConfig = KMeansConfig(),
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        network = autoencoder(input_shape)
        features = Representation(network, representation)
        # Nothing trains in this step; it exists so that k-means runs when the phase begins.
        last = Phase("k-means", PhaseConfig(max_steps=1), (), has_clusters=True, initializes_centroids=True)
        super().__init__(
            ClusteringModel(network, NearestCentroidHead(n_clusters, features.width), features),
            losses={"reconstruction": Reconstruction()},
            phases=[*pretraining_phases(network, layerwise, pretraining), last],
            callbacks=[
                ComponentFit(),
                CentroidRefresh(kmeans.n_init, *kmeans.interval_or((None, None)), kmeans=kmeans.algorithm),
                LossLogger(),
                AssignmentRefresh(),
                PhaseScheduler(),
            ],
            augmentation=augmentation,
            extra_losses=extra_losses,
        )
