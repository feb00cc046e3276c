"""A Gaussian mixture in the embedding of an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import AssignmentRefresh, ComponentFit, LossLogger, MixtureRefresh, PhaseScheduler
from lightning_dc.encoders import AutoencoderFactory, LayerFeatures, PrincipalComponents, Representation
from lightning_dc.heads import GaussianMixtureHead
from lightning_dc.losses import LossTerm, Reconstruction
from lightning_dc.methods.pretraining import LAYERWISE, pretraining_phases
from lightning_dc.mixture import SHRINKAGE
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig


class GaussianMixture(ClusteringModule):
    """A Gaussian mixture whose covariances are shrunk, by default of the first principal components of the data.

    K-means looks for round clusters of one size. A mixture learns sizes and shapes, and its assignments are
    probabilities. Covariances of their own need many samples for each cluster; here they are shrunk towards the one
    that all clusters have in common (Friedman 1989, https://doi.org/10.1080/01621459.1989.10478752), which is learned,
    too. The EM algorithm starts from k-means and from mergers of many small clusters, and the most likely mixture wins;
    see :func:`~lightning_dc.mixture.gaussian_mixture`. An autoencoder that is trained, such as ``MLPAutoencoder``,
    needs a length of ``pretraining``.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        autoencoder: class or function that builds the autoencoder from ``input_shape``.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output.
        shrinkage: weight of the common covariance, in mean sizes of a cluster; 0 gives each cluster a covariance of
            its own, and infinity gives all of them the same.
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining, layer by layer; its length is that of *one* layer.
        pretraining: training of the whole autoencoder.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> model = GaussianMixture((64,), 10)
        >>> [phase.name for phase in model.phases], model.model.head.latent_dim
        (['mixture'], 10)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        autoencoder: AutoencoderFactory = PrincipalComponents,
        representation: Sequence[str | LayerFeatures] | None = None,
        shrinkage: float = SHRINKAGE,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        pretraining: PhaseConfig = PhaseConfig(loss_weights={"reconstruction": 1.0}),
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        network = autoencoder(input_shape)
        features = Representation(network, representation)
        # Nothing trains in this step; it exists so that the mixture is fitted when the phase begins.
        last = Phase("mixture", PhaseConfig(max_steps=1), (), has_clusters=True)
        super().__init__(
            ClusteringModel(network, GaussianMixtureHead(n_clusters, features.width), features),
            losses={"reconstruction": Reconstruction()},
            phases=[*pretraining_phases(network, layerwise, pretraining), last],
            callbacks=[
                ComponentFit(),
                MixtureRefresh(shrinkage),
                LossLogger(),
                AssignmentRefresh(repair_empty=False),
                PhaseScheduler(),
            ],
            augmentation=augmentation,
            extra_losses=extra_losses,
        )
