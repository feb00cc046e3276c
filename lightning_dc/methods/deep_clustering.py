"""A method made of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning.pytorch.callbacks import Callback

from lightning_dc.augmentation import Augmentation
from lightning_dc.callbacks import (
    CentroidRefresh,
    ComponentFit,
    CountedCentroidUpdate,
    EvenBatches,
    HeadChoice,
    LabelChangeStop,
    LossLogger,
    NeighbourRefresh,
    PhaseScheduler,
    TargetDistributionRefresh,
)
from lightning_dc.encoders import Autoencoder, EncoderFactory, LayerFeatures, MLPAutoencoder, Representation
from lightning_dc.errors import InputError
from lightning_dc.heads import CentroidHead, HeadFactory, StudentTHead
from lightning_dc.losses import LossTerm
from lightning_dc.methods.pretraining import LAYERWISE, layer_phases
from lightning_dc.methods.settings import KMeansConfig, NeighbourConfig, RefreshConfig
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig, TrainingStep, join_losses

_OF_CLUSTERS = {name for name, quantity in TrainingStep.quantities().items() if quantity.of_clusters}
_OF_BATCHES = frozenset({"log_q"})  # whose losses take the sizes of the clusters in a batch


class DeepClustering(ClusteringModule):
    """Deep clustering made of parts: network, representation, head, losses, and phases that weight the losses.

    These are the words in which the literature describes its methods (Aljalbout et al. 2018,
    https://arxiv.org/abs/1801.07648; Min et al. 2018, https://doi.org/10.1109/ACCESS.2018.2855437). What a phase
    does follows from the losses that it weights. It has clusters if one of them reads assignments or centroids. It
    trains the encoder, the decoder if a loss reads the reconstruction, and the head if a loss reads assignments,
    unless its ``trainable`` says otherwise. A phase without losses only sets the clusters. K-means sets the
    centroids of a head that has some when the first phase with clusters begins. Nearest neighbours, the target
    distribution and the choice among several heads are computed where a loss or the head needs them.

    Args:
        input_shape: shape of one sample.
        n_clusters: number of clusters K.
        losses: loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`.
        phases: phases by name, in order; their ``loss_weights`` weight the losses.
        network: class or function that builds the network from ``input_shape``.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output.
        head: class or function that builds the clustering head from the number of clusters and the width of the
            representation.
        augmentation: random transform of training batches; None for none.
        layerwise: greedy pretraining before all phases, layer by layer; its length is that of *one* layer. It weights
            a loss of the name ``reconstruction``.
        kmeans: settings of k-means, which sets the centroids.
        counted_updates: None trains the centroids by the losses. A number moves them towards the samples of each batch
            instead, as in DCN, and is the number of samples that a centroid of k-means counts for.
        neighbours: settings of the nearest neighbours.
        refresh: settings of the refresh of assignments and of P, and of convergence, by default every 140 steps.
        keep_p_table: True holds P for every sample, N x K numbers; False holds only the K cluster frequencies; None
            holds P for every sample if it has at most 2^26 numbers.

    Raises:
        InputError: an argument is out of range, or the parts do not fit each other.

    Example:
        >>> from lightning_dc.losses import KLTarget, Reconstruction
        >>> model = DeepClustering(
        ...     input_shape=(64,),
        ...     n_clusters=10,
        ...     losses={"reconstruction": Reconstruction(), "kl": KLTarget()},
        ...     phases={
        ...         "pretraining": PhaseConfig(max_epochs=50, loss_weights={"reconstruction": 1.0}),
        ...         "clustering": PhaseConfig(max_epochs=50, loss_weights={"reconstruction": 1.0, "kl": 0.1}),
        ...     },
        ... )
        >>> [(phase.name, phase.trainable) for phase in model.phases]
        [('pretraining', ('encoder', 'decoder')), ('clustering', ('encoder', 'decoder', 'head'))]
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        n_clusters: int,
        losses: Mapping[str, LossTerm],
        phases: Mapping[str, PhaseConfig],
        network: EncoderFactory = MLPAutoencoder,
        representation: Sequence[str | LayerFeatures] | None = None,
        head: HeadFactory = StudentTHead,
        augmentation: Augmentation | None = None,
        layerwise: PhaseConfig = LAYERWISE,
        kmeans: KMeansConfig = KMeansConfig(),
        counted_updates: int | None = None,
        neighbours: NeighbourConfig = NeighbourConfig(),
        refresh: RefreshConfig = RefreshConfig(),
        keep_p_table: bool | None = None,
    ) -> None:
        if not phases:
            raise InputError("phases of DeepClustering are empty; give at least one, such as clustering")
        losses = join_losses({}, losses, "losses")
        unweighted = sorted(set(losses) - {name for config in phases.values() for name in config.loss_weights})
        if unweighted:
            raise InputError(
                f"losses names {unweighted[0]!r}, but no phase gives it a weight; add one, or leave it out"
            )
        built = network(input_shape)
        features = Representation(built, representation)
        clustering_head = head(n_clusters, features.width)
        has_centroids = isinstance(clustering_head, CentroidHead)
        if counted_updates is not None and not has_centroids:
            raise InputError(
                f"counted_updates={counted_updates} moves centroids, but {type(clustering_head).__name__} has none; "
                "leave it out"
            )
        decodes = isinstance(built, Autoencoder)  # a loss that needs a decoder is refused later
        read = {name: _read(config, losses) for name, config in phases.items()}
        first = next((name for name in phases if _has_clusters(read[name])), None)
        if first is None:
            raise InputError(
                f"no phase of {', '.join(phases)} has clusters; add one with a loss that reads assignments, or one "
                "without losses, {max_steps: 1}, which sets the centroids"
            )
        interval = refresh.interval_or((140, None))
        moved: list[Callback] = [] if counted_updates is None else [CountedCentroidUpdate(counted_updates)]
        even: list[Callback] = [EvenBatches()] if any(_OF_BATCHES & names for names in read.values()) else []
        super().__init__(
            ClusteringModel(built, clustering_head, features),
            losses=losses,
            phases=[
                *layer_phases(built, layerwise),
                *(
                    Phase(
                        name,
                        config,
                        config.parts(_parts(read[name], decodes, counted_updates is None)),
                        has_clusters=_has_clusters(read[name]),
                        initializes_centroids=has_centroids and name == first,
                    )
                    for name, config in phases.items()
                ),
            ],
            callbacks=[
                *even,
                ComponentFit(),
                NeighbourRefresh(
                    neighbours.k, neighbours.metric, neighbours.space, *neighbours.interval_or((None, None))
                ),
                *moved,
                CentroidRefresh(kmeans.n_init, *kmeans.interval_or((None, None)), kmeans=kmeans.algorithm),
                LossLogger(),
                HeadChoice(*interval),
                TargetDistributionRefresh(
                    *interval,
                    keep_table=keep_p_table,
                    repair_empty=has_centroids,
                    restart_optimizer=refresh.restart_optimizer,
                ),
                LabelChangeStop(refresh.tolerance, refresh.patience),
                PhaseScheduler(),
            ],
            augmentation=augmentation,
        )


def _read(config: PhaseConfig, losses: Mapping[str, LossTerm]) -> set[str]:
    """Return the names of the quantities that the losses of a phase read; names without a loss are refused later."""
    return {name for loss in config.loss_weights if loss in losses for name in losses[loss].quantities}


def _has_clusters(read: set[str]) -> bool:
    """Return whether a phase has clusters; one without losses only sets them."""
    return not read or not _OF_CLUSTERS.isdisjoint(read)


def _parts(read: set[str], decodes: bool, trains_head: bool) -> tuple[str, ...]:
    """Return the parts of the model that the losses of a phase train."""
    if not read:
        return ()
    has_head = trains_head and not _OF_CLUSTERS.isdisjoint(read)
    return ("encoder", *(["decoder"] if decodes and "x_hat" in read else []), *(["head"] if has_head else []))
