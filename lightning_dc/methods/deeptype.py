"""DeepType."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
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
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig, training_loader

_PARTS = ("encoder", "task")
_MOST_SHOWN = 20  # inputs in the table at the end of a run
_LARGEST_RATIO = 2.0  # of the spreads of two inputs, above which their importances are hardly comparable
_MOST_SAMPLES = 4096  # from which the spread of the inputs is estimated


class DeepType(ClusteringModule):
    r"""DeepType (Chen, Yang, Goodison and Sun 2020, https://doi.org/10.1093/bioinformatics/btz769).

    A network learns a supervised task, while a penalty on its input layer makes it rely on few inputs
    (``pretraining``). K-means over the representation of the whole training set then sets the centroids. With the same
    task and penalty, the network is trained to bring each sample closer to its centroid, too (``joint``), and k-means
    runs again periodically, until the assignments have converged. A last k-means ends the run.

    .. math:: L = \text{task} + \alpha\, \text{sparsity} + \beta\, \text{distance}

    alpha and beta are ``loss_weights``, numbers or schedules. The distance is squared, as in the authors' code.

    *Inputs.* By default, the sparsity is proximal, so that the weights of dropped inputs are exactly zero, and
    adaptive. A plain group lasso drops inputs that are redundant for separating the classes, although they may separate
    the clusters. :class:`~lightning_dc.callbacks.EvidenceRefresh` describes how the adaptive factors are computed.
    Their evidence is marginal: inputs that act only together, such as the two of an exclusive or, have none and are
    dropped. The authors' choice is ``gamma=None, proximal=False`` with alpha = 0.006 and beta = 1.2, which makes no
    weight exactly zero. With few events and many redundant inputs, ``norm="ridge", gamma=None``, which drops no input,
    did better on held-out samples (``deeptype_survival``). A run that has dropped every input ends with a warning. On
    the command line, :class:`~lightning_dc.reports.FeatureTable` writes and draws the inputs; from Python, add it to
    the Trainer.

    *Representation.* The authors cluster the last hidden layer. The longer the task is learned, the more that layer
    shows only the classes, while the first hidden layer keeps the geometry of the inputs that are not dropped. If
    clusters should be finer than the classes, ``representation=[activation_1]`` finds them.

    *Defaults.* Measurements were made with the configuration ``deeptype_synthetic``. It differs from the defaults in
    ``representation=[activation_1]``, in a ramp of alpha in ``pretraining``, ``Exponential(0, 1, time_constant=5)``,
    and in speed: batches of 256 at a learning rate of 0.005, 6 epochs of ``pretraining``, beta = 0.1, and an end when
    less than 0.5 % of the labels change. The defaults are meant for batches of 64; with that representation and a time
    constant of 20 steps they keep the same inputs, in five times as many steps.

    *Deviations from the paper.* Beside the inputs, the distance is that to the centroid which is nearest now; the
    authors keep the assignment of the last k-means. Each step has a batch of its own, where their code takes 100 steps
    on one batch between two runs of k-means. beta is 0.2, not 1.2, and a last k-means ends the run. The penalty of an
    input, as in the paper, depends on its unit, so a warning tells if the spreads of the inputs differ;
    ``scaling="standard"`` of the DataModule makes them the same, while the authors' code scales each input to [0, 1].

    Args:
        input_shape: shape of one sample.
        target_spec: description of the targets; on the command line it comes from the DataModule.
        n_clusters: number of clusters K.
        encoder: class or function that builds the encoder from ``input_shape``; it must begin with a linear layer.
        representation: layers of the encoder whose concatenated outputs are clustered: names, or
            :class:`~lightning_dc.encoders.LayerFeatures`, which can pool; None is the encoder's output, which
            the authors use.
        norm: norm of the input layer's weights: ``l1``, ``ridge``, ``l21`` (group lasso) or ``l1inf``.
        proximal: whether the norm's proximal operator is applied after each step, instead of adding its gradient.
        gamma: exponent with which an input's penalty falls with its evidence; None penalises all inputs alike. The unit
            of alpha depends on it: with a gamma, alpha = 1 drops inputs at the level of chance, whatever the number H
            of hidden units; with None, this needs an alpha of about sqrt(H) (``l21``).
        bound: largest absolute value of a weight of the input layer; None for no bound.
        ties: treatment of events at the same time in Cox's partial likelihood, ``efron`` or ``breslow``.
        pretraining: training of encoder and task head.
        joint: training of encoder and task head with the distance to the centroids.
        kmeans: settings of k-means, which sets the centroids; without an interval of its own it runs with each refresh.
        refresh: settings of the refresh of assignments, and of the convergence of ``joint``.
        feature_groups: numbers of inputs that are kept or dropped together; on the command line, they come from the
            DataModule.
        extra_losses: further loss terms by name, of any class that derives from :class:`~lightning_dc.LossTerm`; the
            ``loss_weights`` of the phases weight them.

    Raises:
        InputError: an argument is out of range, or ``target_spec`` is None.

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
        refresh: RefreshConfig = RefreshConfig(patience=2),
        feature_groups: Sequence[Sequence[int]] | None = None,
        extra_losses: Mapping[str, LossTerm] | None = None,
    ) -> None:
        if target_spec is None:
            raise InputError(
                "target_spec is None, but DeepType learns a target; give a DataModule with one, such as "
                "SyntheticDataModule(target='class')"
            )
        interval = refresh.interval_or((None, 5))
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
                # Nothing trains in this step; it exists so that k-means runs when the phase begins.
                Phase("k-means", PhaseConfig(max_steps=1), (), has_clusters=True, initializes_centroids=True),
            ],
            callbacks=[
                ProximalStep(bound=bound),
                CentroidRefresh(kmeans.n_init, *kmeans.interval_or(interval), kmeans=kmeans.algorithm),
                LossLogger(),
                AssignmentRefresh(*interval, restart_optimizer=refresh.restart_optimizer),
                *([] if gamma is None else [EvidenceRefresh(gamma)]),
                LabelChangeStop(refresh.tolerance, refresh.patience),
                PhaseScheduler(),
            ],
            extra_losses=extra_losses,
            task_scores=TaskScores(target_spec, ties),
        )

    @property
    def importance(self) -> Tensor:
        """Norm of the input layer's weights of each input, (F,); inputs of one group share the norm of the group.

        The weights are those of the scaled inputs, so importances can be compared where all inputs have the same
        spread (``scaling="standard"``), and are alone or in groups of the same size.
        """
        sparsity = self.losses["sparsity"]
        assert isinstance(sparsity, InputSparsity)
        return sparsity.scores(self.model.network.input_layer.weight)[sparsity.of_input]

    def on_train_start(self) -> None:
        super().on_train_start()
        is_sparse = any(phase.config.loss_weights.get("sparsity", 0.0) != 0.0 for phase in self.phases)
        if is_sparse and self.global_step == 0:
            self._warn_of_units()

    def _warn_of_units(self) -> None:
        """Warn if the inputs, as they are scaled, differ so much in spread that their penalties do."""
        loader = training_loader(self)
        rows = torch.linspace(0, loader.n_samples - 1, min(loader.n_samples, _MOST_SAMPLES), dtype=torch.float64)
        deviation = loader.take(rows.long()).x.flatten(1).double().std(0, correction=0)
        spreads = deviation[deviation > 0]
        if len(spreads) > 0 and (ratio := float(spreads.max() / spreads.min())) > _LARGEST_RATIO:
            rank_zero_warn(
                f"The inputs differ in spread by a factor of up to {ratio:.3g}, so which of them are kept, and their "
                "importance, depends on their units; give all the same spread, by scaling='standard' of the DataModule"
            )

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
