"""K-means with many small clusters, which are merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import AssignmentRefresh, ComponentFit, LossLogger, PhaseScheduler, PrototypeRefresh
from lightning_dc.encoders import AutoencoderFactory, LayerFeatures, PrincipalComponents, Representation
from lightning_dc.heads import PrototypeHead
from lightning_dc.kmeans.prototypes import Linkage
from lightning_dc.losses import LossTerm, Reconstruction
from lightning_dc.methods.pretraining import LAYERWISE, pretraining_phases
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig


class MergedKMeans(ClusteringModule):
    """K-means with many small clusters, whose centroids are merged by agglomerative clustering.

    K-means cuts a large group of samples and joins small ones, because it looks for round clusters of one size. Many
    small clusters follow any shape, and average linkage merges them without regard to how many samples they hold, so
    that clusters may be uneven, as those of texts are. This is two-stage or multi-prototype clustering (Vesanto and
    Alhoniemi 2000, https://doi.org/10.1109/72.846731, with k-means as the first stage). By default the embeddings are
    the first principal components; an autoencoder that is trained needs a length of ``pretraining``.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: class or function that builds the autoencoder from ``input_shape``.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output.
        n_prototypes: largest number of small clusters; there is one for five samples at most.
        linkage: ``average``, ``ward``, ``complete`` or ``single``.
        n_init: restarts of k-means.
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining, layer by layer; its length is that of *one* layer.
        pretraining: training of the whole autoencoder.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> model = MergedKMeans((64,), 10)
        >>> [phase.name for phase in model.phases], len(model.model.head.prototypes)
        (['k-means'], 60)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        autoencoder: AutoencoderFactory = PrincipalComponents,
        representation: Sequence[str | LayerFeatures] | None = None,
        n_prototypes: int = 60,
        linkage: Linkage = "average",
        n_init: int = 5,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PhaseConfig(loss_weights={"reconstruction": 1.0}),
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        network = autoencoder(input_shape)
        features = Representation(network, representation)
        # Nothing trains in this step; it exists so that k-means runs when the phase begins.
        last = Phase("k-means", PhaseConfig(max_steps=1), (), has_clusters=True)
        super().__init__(
            ClusteringModel(network, PrototypeHead(n_clusters, features.width, n_prototypes), features),
            losses={"reconstruction": Reconstruction()},
            phases=[*pretraining_phases(network, layerwise, pretraining), last],
            callbacks=[
                ComponentFit(),
                PrototypeRefresh(linkage, n_init),
                LossLogger(),
                AssignmentRefresh(),
                PhaseScheduler(),
            ],
            augmentation=augmentation,
            extra_losses=extra_losses,
        )
