"""DeepType."""

from __future__ import annotations

from collections.abc import Sequence

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_dc.batch import Batch, TargetSpec, as_batch
from lightning_dc.callbacks import (
    AssignmentRefresh,
    CentroidRefresh,
    EvidenceRefresh,
    LabelChangeStop,
    LossLogger,
    PhaseScheduler,
    ProximalStep,
)
from lightning_dc.encoders import EncoderFactory, MLPEncoder, Representation
from lightning_dc.errors import InputError
from lightning_dc.functional import InputGroups, Norm, Ties
from lightning_dc.heads import NearestCentroidHead, TaskHead
from lightning_dc.losses import GroupSparsity, KMeansLoss, TaskLoss
from lightning_dc.metrics import TaskScores
from lightning_dc.training import ClusteringModule, Phase, PhaseConfig, SupervisedStep

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
        representation: names of the encoder's layers whose outputs, concatenated, are clustered; None is its output, as
            the authors have it.
        norm: of the input layer's weights: ``l1``, ``ridge``, ``l21`` (group lasso) or ``l1inf``.
        proximal: apply the norm's proximal operator after each step instead of adding its gradient.
        gamma: how steeply an input's penalty falls with its evidence; None penalises all inputs alike. The unit of
            alpha changes with it: with a gamma, alpha = 1 drops inputs at the level of chance whatever the number H of
            hidden units; with None that takes an alpha of about sqrt(H) (``l21``).
        bound: largest absolute value of a weight of the input layer; None for no bound.
        ties: how Cox's partial likelihood treats events at the same time, ``efron`` or ``breslow``.
        pretraining: training of encoder and task head.
        joint: the same, with the distance to the centroids.
        refresh_every_n_steps: steps between two runs of k-means over the whole training set; None leaves it to
            ``refresh_every_n_epochs``, which must be None otherwise.
        refresh_every_n_epochs: the same in epochs.
        tolerance: ``joint`` ends when fewer than this share of the labels change between two refreshes.
        patience: so many times in a row.
        n_init: restarts of k-means at the beginning and at the end.
        feature_groups: inputs that are kept or dropped together; the DataModule says it on the command line.

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
        representation: Sequence[str] | None = None,
        norm: Norm = "l21",
        proximal: bool = True,
        gamma: float | None = 2.0,
        bound: float | None = None,
        ties: Ties = "efron",
        pretraining: PhaseConfig = PhaseConfig(max_epochs=10, loss_weights={"task": 1.0, "sparsity": 1.0}),
        joint: PhaseConfig = PhaseConfig(max_epochs=50, loss_weights={"task": 1.0, "sparsity": 1.0, "distance": 0.2}),
        refresh_every_n_steps: int | None = None,
        refresh_every_n_epochs: int | None = 5,
        tolerance: float = 0.001,
        patience: int = 2,
        n_init: int = 20,
        feature_groups: Sequence[Sequence[int]] | None = None,
    ) -> None:
        if target_spec is None:
            raise InputError(
                "target_spec is None, but DeepType learns a target; give a DataModule with one, such as "
                "SyntheticDataModule(target='class')"
            )
        network = encoder(input_shape)
        reader = Representation(network, representation)
        groups = InputGroups.of(feature_groups, network.input_layer.in_features)
        losses = {
            "task": TaskLoss(target_spec.kind, ties),
            "sparsity": GroupSparsity(norm, groups, proximal),
            "distance": KMeansLoss(),
        }
        super().__init__(network, NearestCentroidHead(n_clusters, reader.width), losses)
        self.representation = reader
        self.task_head = TaskHead(network.latent_dim, target_spec.n_outputs)
        self.target_spec = target_spec
        self.task_scores = TaskScores(target_spec, ties)
        self.pretraining = pretraining
        self.joint = joint
        self.method_callbacks = [
            ProximalStep(bound=bound),
            CentroidRefresh(n_init, refresh_every_n_steps, refresh_every_n_epochs),
            LossLogger(),
            AssignmentRefresh(refresh_every_n_steps, refresh_every_n_epochs),
            *([] if gamma is None else [EvidenceRefresh(gamma)]),
            LabelChangeStop(tolerance, patience),
            PhaseScheduler(),
        ]
        self.save_hyperparameters()
        self.set_phases()

    def configure_phases(self) -> list[Phase]:
        # The last is a step in which nothing trains: what happens at its beginning counts.
        return [
            Phase("pretraining", self.pretraining, self.pretraining.parts(_PARTS)),
            Phase("joint", self.joint, self.joint.parts(_PARTS), initializes_centroids=True),
            Phase("k-means", PhaseConfig(max_steps=1), (), initializes_centroids=True),
        ]

    def parts(self) -> dict[str, nn.Module]:
        return super().parts() | {"task": self.task_head}

    def make_step(self, batch: Batch, batch_idx: int) -> SupervisedStep:
        return SupervisedStep(
            self, batch, batch_idx % self.trainer.accumulate_grad_batches, self.representation, self.task_head
        )

    def embed(self, x: Tensor) -> Tensor:
        return self.representation(x).z.to(self.wide_dtype)

    def predict_target(self, x: Tensor) -> Tensor:
        """What the task head says of samples, (B, *input_shape) to (B, n_outputs): scores, values or log hazards."""
        output: Tensor = self.task_head(self.representation(x).features)
        return output

    # ---- inputs ----------------------------------------------------------------------------------------------------

    @property
    def importance(self) -> Tensor:
        """Norm of the input layer's weights of each input, (F,); inputs of one group share that of the group."""
        sparsity = self.losses["sparsity"]
        assert isinstance(sparsity, GroupSparsity)
        return sparsity.scores(self.autoencoder.input_layer.weight)[sparsity.of_input]

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

    # ---- evaluation ------------------------------------------------------------------------------------------------

    def _evaluate(self, batch: object) -> None:
        super()._evaluate(batch)
        batch = as_batch(batch)
        if batch.targets is not None:
            self.task_scores.update(self.predict_target(batch.x), batch.targets)

    def _log_metrics(self, prefix: str) -> None:
        super()._log_metrics(prefix)
        if self.task_scores.is_supervised:
            self.log_dict({f"{prefix}/{name}": value for name, value in self.task_scores.compute().items()})
        self.task_scores.reset()
