"""DeepType."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_dc.batch import TargetSpec
from lightning_dc.callbacks import (
    AssignmentRefresh,
    CentroidRefresh,
    EvidenceRefresh,
    LabelChangeStop,
    LossLogger,
    PhaseScheduler,
    ProximalStep,
)
from lightning_dc.encoders import EncoderFactory, LayerFeatures, MLPEncoder, Representation
from lightning_dc.errors import InputError
from lightning_dc.functional import InputGroups, Norm, Ties
from lightning_dc.heads import NearestCentroidHead, TaskHead
from lightning_dc.losses import InputSparsity, KMeansLoss, LossTerm, TaskLoss
from lightning_dc.methods.settings import KMeansConfig, RefreshConfig
from lightning_dc.metrics import TaskScores
from lightning_dc.model import ClusteringModel
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig

_PARTS = ("encoder", "task")
_MOST_SHOWN = 20  # inputs in the table at the end of a run


class DeepType(ClusteringModule):
    r"""DeepType (Chen, Yang, Goodison and Sun 2020, https://doi.org/10.1093/bioinformatics/btz769).

    A network learns a supervised task while a penalty on its input layer lets few inputs carry it (``pretraining``).
    K-means over the representation of the whole training set then places the centroids, and the network is trained to
    keep both and to bring each sample closer to its centroid (``joint``), with k-means again from time to time, until
    the assignments settle. K-means ends the run.

    .. math:: L = \text{task} + \alpha\, \text{sparsity} + \beta\, \text{distance}

    alpha and beta are ``loss_weights``, numbers or schedules. The distance is squared, as in the authors' code.

    *Inputs.* By default the sparsity is proximal, so that weights of dropped inputs are exactly zero, and adaptive: a
    group lasso drops inputs that are redundant for telling the classes apart, and with them what tells clusters apart.
    :class:`~lightning_dc.callbacks.EvidenceRefresh` says how the factors come about. Evidence is marginal: it can't see
    inputs that act only together, such as the two of an exclusive or, and drops them. The authors' choice is
    ``gamma=None, proximal=False`` with alpha = 0.006 and beta = 1.2; nothing is then exactly zero. With few events and
    many inputs that say the same, ``norm="ridge", gamma=None``, which drops none, did better on samples held out
    (``deeptype_survival``). A run that has dropped every input ends with a warning. On the command line
    :class:`~lightning_dc.reports.FeatureTable` writes and draws the inputs; from Python, add it to the Trainer.

    *Representation.* The authors cluster the last hidden layer. The longer the task is learned, the more that layer
    shows the classes alone; the first hidden layer keeps the geometry of the inputs that were kept. Where clusters are
    to be finer than the classes, ``representation=[activation_1]`` finds them.

    *Defaults.* Measured are the settings of the configuration ``deeptype_synthetic``. They differ from these in
    ``representation=[activation_1]``, in a ramp of alpha in ``pretraining``, ``Exponential(0, 1, time_constant=5)``,
    and in speed: batches of 256 at a learning rate of 0.005, 6 epochs of ``pretraining``, beta = 0.1, and an end where
    less than 0.5 % of the labels change. The defaults are meant for batches of 64; with that representation and a time
    constant of 20 steps they keep the same inputs, in five times as many steps.

    Args:
        input_shape: shape of one sample.
        target_spec: what the targets are; the DataModule says it on the command line.
        n_clusters: number of clusters K.
        encoder: builds the encoder from ``input_shape``; it begins with a linear layer.
        representation: layers of the encoder whose outputs, concatenated, are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output, as the authors
            have it.
        norm: of the input layer's weights: ``l1``, ``ridge``, ``l21`` (group lasso) or ``l1inf``.
        proximal: apply the norm's proximal operator after each step instead of adding its gradient.
        gamma: how steeply an input's penalty falls with its evidence; None penalises all inputs alike. The unit of
            alpha changes with it: with a gamma, alpha = 1 drops inputs at the level of chance whatever the number H of
            hidden units; with None that takes an alpha of about sqrt(H) (``l21``).
        bound: largest absolute value of a weight of the input layer; None for no bound.
        ties: how Cox's partial likelihood treats events at the same time, ``efron`` or ``breslow``.
        pretraining: training of encoder and task head.
        joint: the same, with the distance to the centroids.
        kmeans: how k-means places the centroids; without an interval of its own it runs with each refresh.
        refresh: when the assignments are refreshed, and when ``joint`` has converged.
        feature_groups: inputs that are kept or dropped together; the DataModule says it on the command line.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> model = DeepType((20,), TargetSpec("class", ["healthy", "ill"]), n_clusters=4)
        >>> [phase.name for phase in model.phases]
        ['pretraining', 'joint', 'k-means']
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        target_spec: TargetSpec | None,
        n_clusters: int,
        encoder: EncoderFactory = MLPEncoder,
        representation: Sequence[str | LayerFeatures] | None = None,
        norm: Norm = "l21",
        proximal: bool = True,
        gamma: float | None = 2.0,
        bound: float | None = None,
        ties: Ties = "efron",
        pretraining: PhaseConfig = PhaseConfig(max_epochs=10, loss_weights={"task": 1.0, "sparsity": 1.0}),
        joint: PhaseConfig = PhaseConfig(max_epochs=50, loss_weights={"task": 1.0, "sparsity": 1.0, "distance": 0.2}),
        kmeans: KMeansConfig = KMeansConfig(),
        refresh: RefreshConfig = RefreshConfig(every_n_epochs=5, patience=2),
        feature_groups: Sequence[Sequence[int]] | None = None,
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        if target_spec is None:
            raise InputError(
                "target_spec is None, but DeepType learns a target; give a DataModule with one, such as "
                "SyntheticDataModule(target='class')"
            )
        network = encoder(input_shape)
        features = Representation(network, representation)
        head = NearestCentroidHead(n_clusters, features.width)
        groups = InputGroups.of(feature_groups, network.input_layer.in_features)
        has_bias = target_spec.kind != "survival"  # whose partial likelihood no constant changes
        super().__init__(
            ClusteringModel(network, head, features, TaskHead(network.latent_dim, target_spec.n_outputs, has_bias)),
            losses={
                "task": TaskLoss(target_spec.kind, ties),
                "sparsity": InputSparsity(norm, groups, proximal),
                "distance": KMeansLoss(),
            },
            phases=[
                Phase("pretraining", pretraining, pretraining.parts(_PARTS)),
                Phase("joint", joint, joint.parts(_PARTS), has_clusters=True, initializes_centroids=True),
                # A step in which nothing trains: k-means at its beginning is what counts.
                Phase("k-means", PhaseConfig(max_steps=1), (), has_clusters=True, initializes_centroids=True),
            ],
            callbacks=[
                ProximalStep(bound=bound),
                CentroidRefresh(kmeans.n_init, *kmeans.interval_or(refresh.interval), kmeans=kmeans.algorithm),
                LossLogger(),
                AssignmentRefresh(*refresh.interval),
                *([] if gamma is None else [EvidenceRefresh(gamma)]),
                LabelChangeStop(refresh.tolerance, refresh.patience),
                PhaseScheduler(),
            ],
            extra_losses=extra_losses,
            task_scores=TaskScores(target_spec, ties),
        )

    @property
    def importance(self) -> Tensor:
        """Norm of the input layer's weights of each input, (F,); inputs of one group share that of the group."""
        sparsity = self.losses["sparsity"]
        assert isinstance(sparsity, InputSparsity)
        return sparsity.scores(self.model.network.input_layer.weight)[sparsity.of_input]

    def on_train_end(self) -> None:
        if not bool(self.importance.any()):
            rank_zero_warn(
                "The weights of all inputs are zero, so neither predictions nor clusters depend on the data. Lower "
                "loss_weights.sparsity in all phases, or penalise all inputs alike with gamma=null"
            )

    def summary_rows(self) -> list[tuple[str, str]]:
        importance = self.importance
        order = [j for j in importance.argsort(descending=True, stable=True).tolist() if importance[j] > 0]
        names = self.feature_names
        shown = "\n".join(names[j] for j in order[:_MOST_SHOWN])
        if len(order) > _MOST_SHOWN:
            shown += f"\nand {len(order) - _MOST_SHOWN} more"
        rest = ", the other weights are zero" if len(order) < len(names) else ""
        return [("selected inputs", f"{len(order)} of {len(names)}{rest}\n{shown}".strip())]
