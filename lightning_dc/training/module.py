"""The LightningModule that all methods share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRScheduler
from torch import Tensor, nn

from lightning_dc.augmentation import Augmentation
from lightning_dc.batch import Batch, DataDescription, as_batch
from lightning_dc.distributed import act_alone, open_host_group, world
from lightning_dc.errors import InputError
from lightning_dc.heads import CentroidHead
from lightning_dc.losses import LossTerm
from lightning_dc.metrics import TaskScores
from lightning_dc.model import ClusteringModel
from lightning_dc.randomness import StepRandom, mix_seed
from lightning_dc.schedules import Progress
from lightning_dc.training.checkpoint import (
    check_optimizer,
    check_same,
    check_same_phases,
    check_weights,
    network_weights,
    read_checkpoint,
)
from lightning_dc.training.checkpoint_format import CHECKPOINT_KEY, check_format
from lightning_dc.training.checkpoint_io import write_whole_checkpoints
from lightning_dc.training.checks import check_phases, check_refreshed, check_samples, join_losses
from lightning_dc.training.evaluation import Evaluation
from lightning_dc.training.finite import check_finite_embeddings
from lightning_dc.training.loader import take_samples
from lightning_dc.training.monitors import Monitors
from lightning_dc.training.optimization import Settings, build_optimizer, restore_settings, set_rates, settings_of
from lightning_dc.training.phase import Phase
from lightning_dc.training.preprocessing import Preprocessing, entry_of
from lightning_dc.training.progress import repair_progress
from lightning_dc.training.rebuildable import RebuildableModule
from lightning_dc.training.state import FullAssignment, RunState
from lightning_dc.training.step import LayerStep, TrainingStep
from lightning_dc.training.trainer_checks import check_device, check_optimizers, check_trainer, warn_of_early_end
from lightning_dc.training.unreached import UnreachedParameters


class ClusteringModule(RebuildableModule):
    """Base class of clustering methods: a model and loss terms, trained through phases.

    A method derives from this class and calls ``super().__init__`` once with its parts. The arguments of the method's
    own constructor are kept as hyperparameters, so that a checkpoint alone is enough to rebuild the method.

    Args:
        model: network and heads.
        losses: loss terms of the method by name; the phases give them weights.
        phases: all phases of the method, in order; those without a step are left out.
        callbacks: callbacks of the method, in the order in which they act.
        augmentation: random transform of training batches; None for none.
        extra_losses: loss terms that the user adds, by name; at least one phase must give each of them a weight.
        task_scores: scores of the supervised task in validation and test; None without a task.

    Attributes:
        phases: phases of the run, in order.
        loss_terms: loss terms by name, those of the user among them.
        state: state of the run, such as its phase and the latest assignments of the training set.
        preprocessing: what the DataModule of the training data has learned.
        step_losses: losses of the batches of the present optimizer step on this process, without gradients, each ().
        final: assignments of the training set by the final model, in main memory; None before a fit has ended, if
            training has ended before there were clusters, after a ``fast_dev_run``, and in the process that has started
            a fit by ``ddp_spawn``.

    Raises:
        InputError: the parts do not fit each other.
    """

    step_class: ClassVar[type[TrainingStep]] = TrainingStep
    """Quantities that losses can read; a method with further ones has a subclass of ``TrainingStep``."""

    def __init__(
        self,
        model: ClusteringModel,
        losses: Mapping[str, LossTerm],
        phases: Sequence[Phase],
        callbacks: Sequence[Callback],
        augmentation: Augmentation | None = None,
        extra_losses: Mapping[str, LossTerm] | None = None,
        task_scores: TaskScores | None = None,
    ) -> None:
        arguments = vars(self).pop("_arguments", ((), {}))
        super().__init__()
        if augmentation is not None:
            augmentation.check(model.input_shape)
        terms = join_losses(losses, extra_losses)
        self.phases = check_phases(
            phases, model, terms, extra_losses or (), augmentation, self.step_class.quantities(), type(self).__name__
        )
        self.model = model
        self.losses = nn.ModuleDict(terms)  # which trains and saves their parameters
        self.loss_terms = terms
        self.augmentation = augmentation
        self.state = RunState(seed=torch.initial_seed())
        self.final: FullAssignment | None = None
        self.run_folder: Path | None = None
        self.evaluation = Evaluation(model.head.n_clusters, task_scores)
        self.preprocessing = Preprocessing()
        self.method_callbacks = [*callbacks, Monitors(), self.preprocessing]
        self.step_losses: list[Tensor] = []
        self._settings: Settings = []
        self.save_arguments(arguments)

    # ---- hooks for methods -----------------------------------------------------------------------------------------

    @property
    def importance(self) -> Tensor | None:
        """Importance of each input, (F,), at least 0 and 0 for a dropped input; None if the method weighs no inputs."""
        return None

    def summary_rows(self) -> list[tuple[str, str]]:
        """Return the rows that the method adds to the table at the end of a run: names and values."""
        return []

    # ---- setup -----------------------------------------------------------------------------------------------------

    def configure_callbacks(self) -> list[Callback]:
        """Return the method's callbacks, without those that the trainer already has."""
        attached = self.trainer.callbacks  # type: ignore[attr-defined]
        return [callback for callback in self.method_callbacks if callback not in attached]

    def setup(self, stage: str) -> None:
        """Share the seed between processes and start with the first phase; a checkpoint replaces this state later."""
        check_device(self.trainer)
        act_alone(self.trainer.world_size == 1)
        open_host_group()
        self.trainer.precision_plugin.convert_module(self)  # before a checkpoint is restored, which would be rounded
        self.state.seed = self.trainer.strategy.broadcast(self.state.seed)
        write_whole_checkpoints(self.trainer.strategy)
        if stage == TrainerFn.FITTING:
            self.state = RunState(self.state.seed, phase_start_step=self.global_step)
            self.final = None
            log_dir = self.trainer.log_dir  # read on every process: it is a broadcast
            self.run_folder = None if log_dir is None else Path(log_dir)
            self._unreached = UnreachedParameters()
            check_trainer(self.trainer)
            check_optimizers(self, ClusteringModule.configure_optimizers)
            callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
            provided = frozenset[str]().union(*(getattr(callback, "provides", ()) for callback in callbacks))
            check_refreshed(self.phases, self.loss_terms, provided, self.step_class.quantities(), type(self).__name__)
            for phase in self.phases:  # an error in the optimizer of a late phase must show before training
                build_optimizer(phase, self.model, self.loss_terms)
        self.preprocessing.hand_over(self._datamodule())

    def teardown(self, stage: str) -> None:
        act_alone(False)

    def on_fit_start(self) -> None:
        check_samples(self._datamodule(), self.model)
        self.state.move_to(self.device)  # a checkpoint is restored on the CPU

    @property
    def data_description(self) -> DataDescription:
        """Description of the run's data, as its DataModule gives it."""
        return DataDescription.of(self._datamodule())

    @property
    def feature_names(self) -> list[str]:
        """Names of the inputs: those of the DataModule, or else their numbers."""
        names = self.data_description.feature_names
        return [f"input_{j}" for j in range(math.prod(self.model.input_shape))] if names is None else [*names]

    # ---- phases ----------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """The current phase; the last one when all are over."""
        return self.phases[min(self.state.phase_index, len(self.phases) - 1)]

    @property
    def phases_over(self) -> bool:
        """True if all phases are over."""
        return self.state.phase_index >= len(self.phases)

    @property
    def has_clusters(self) -> bool:
        """True if the clusters of the model have a meaning: the latest fit has begun to cluster."""
        is_fitting = self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        if is_fitting or self.state.assignments is not None:
            return self.state.assignments is not None
        return self.phases_over or (isinstance(self.model.head, CentroidHead) and bool(self.model.head.centroids.any()))

    @property
    def steps_per_epoch(self) -> int:
        """Number of optimizer steps in an epoch."""
        return -(-int(self.trainer.num_training_batches) // self.trainer.accumulate_grad_batches)

    @property
    def progress(self) -> Progress:
        """Position in the current phase."""
        return Progress(self.global_step - self.state.phase_start_step, self.phase.n_steps(self.steps_per_epoch))

    @property
    def quantities_read(self) -> set[str]:
        """Names of the quantities that the loss terms of the current phase read."""
        return {read for name in self.phase.config.loss_weights for read in self.loss_terms[name].quantities}

    def begin_next_phase(self) -> None:
        """Begin the next phase at this step with a new optimizer; after the last phase, stop the trainer."""
        self.state.begin_next_phase(self.global_step)
        if self.phases_over:
            self.trainer.should_stop = True
        else:
            self.trainer.strategy.setup_optimizers(self.trainer)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = build_optimizer(self.phase, self.model, self.loss_terms)
        self._settings = settings_of(optimizer)
        return optimizer

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Optimizer of the current phase."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        return optimizer

    def on_train_start(self) -> None:
        restore_settings(self.optimizer, self._settings)
        warn_of_early_end(self.trainer, self.phases, self.steps_per_epoch)

    def set_rates(self) -> None:
        """Set learning rate and momentum to the values of the phase's schedules at this step."""
        set_rates(self.optimizer, self._settings, self.phase, self.progress)

    # ---- inference -------------------------------------------------------------------------------------------------

    def embed(self, x: Tensor) -> Tensor:
        """Return the representation of samples, (B, *input_shape) to (B, D), float32 at least.

        Args:
            x: samples that are preprocessed as those of training, as in :meth:`forward`.
        """
        return self.model.embed(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return soft assignments of samples, (B, *input_shape) to (B, K); rows sum to 1.

        Args:
            x: samples that are preprocessed as those of training: scaled by what the DataModule has learned. Its
                batches are; ``Trainer().predict(model, ArrayDataModule(raw))`` scales raw samples and predicts.
        """
        return self.model(x)  # type: ignore[no-any-return]

    def on_predict_start(self) -> None:
        check_samples(self._datamodule(), self.model)
        if not self.has_clusters:
            raise InputError(
                "the centroids were never set, because training has ended before there were clusters; train on, from a "
                "checkpoint with fit and --ckpt_path, or give a checkpoint of a run that has clusters"
            )

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return index, embedding and soft assignments of a batch.

        Returns:
            ``index`` (B,), ``z`` (B, D), ``q`` (B, K).
        """
        batch = as_batch(batch)
        z = self.embed(batch.x)
        check_finite_embeddings(self.trainer, int((~z.isfinite().all(1)).sum()), len(z))
        return {"index": batch.index, "z": z, "q": self.model.head(z)}

    # ---- training --------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> STEP_OUTPUT:
        """Return the weighted sum of the phase's loss terms, averaged over the global batch.

        Returns:
            ``loss`` and, detached, each of its terms by name.
        """
        batch = as_batch(batch)
        rank, world_size = world()
        micro_batch = batch_idx % self.trainer.accumulate_grad_batches
        # For random modules of a user's encoder; the draws of this package have generators of their own.
        self._seed_default_generators(mix_seed(self.state.seed, self.global_step, rank, micro_batch))
        step = self._make_step(batch, micro_batch)
        terms: dict[str, Tensor] = {}
        loss = torch.zeros((), device=batch.x.device)
        for name, weight in self.phase.loss_weights(self.progress).items():
            loss_term = self.loss_terms[name]
            term: Tensor = loss_term(**step.read(loss_term.quantities))
            if term.ndim:  # one value for each sample: DDP's mean over ranks then is the mean over the global batch
                term = term.sum() * (world_size / batch.size)
            terms[name] = term.detach()
            loss = loss + weight * term
        # DDP, even with one process, waits for a gradient of every parameter; and without terms there must be a graph.
        if isinstance(self.trainer.strategy, DDPStrategy) or not terms:
            loss = self._unreached.reach(loss, self.parameters(), self.state.phase_index)
        self.step_losses = [*self.step_losses[:micro_batch], loss.detach()]
        return {"loss": loss, **terms}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.phase.trainable:  # as on one process, where these parameters have no gradient, and so no weight decay
            self._unreached.drop_gradients(self.state.phase_index)

    def _make_step(self, batch: Batch, micro_batch: int) -> TrainingStep:
        random = StepRandom(self.state.seed, self.global_step, batch.size, batch.x.device, micro_batch)
        kind = self.step_class if self.phase.layer is None else LayerStep
        of_run = (self.phase, self.state, random, self.augmentation)
        return kind(self.model, batch, *of_run, lambda numbers: take_samples(self, numbers), self.quantities_read)

    def on_fit_end(self) -> None:
        self._seed_default_generators(self.state.seed)

    def _seed_default_generators(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 100 times as long
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    # ---- evaluation ------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluation.update(self.model, as_batch(batch), has_clusters=self.has_clusters)

    def on_validation_epoch_end(self) -> None:
        self._log_evaluation("val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluation.update(self.model, as_batch(batch), has_clusters=self.has_clusters)

    def on_test_epoch_end(self) -> None:
        self._log_evaluation("test")

    def _log_evaluation(self, stage: str) -> None:
        """Log the metrics of validation or test; without clusters there are only those of the task."""
        values = self.evaluation.take(has_clusters=self.has_clusters)
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})

    # ---- checkpoints -----------------------------------------------------------------------------------------------

    def init_network(self, path: str | Path) -> None:
        """Start from the network of a checkpoint of any method, and preprocess data as that network was trained.

        Args:
            path: a checkpoint of lightning_dc.

        Raises:
            InputError: the checkpoint cannot be read, or it holds another network.
        """
        checkpoint = read_checkpoint(path, "init_from")
        weights, own = (network_weights(tensors) for tensors in (checkpoint["state_dict"], self.state_dict()))
        check_weights(weights, own, "init_from")
        self.load_state_dict(weights, strict=False)
        self.preprocessing.learned = checkpoint[CHECKPOINT_KEY].get("preprocessing", {})
        rank_zero_info(f"The network starts from {path}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        repair_progress(checkpoint, self.trainer.num_training_batches, self.trainer.accumulate_grad_batches)
        own = {"phases": [phase.name for phase in self.phases], "state": self.state.to_dict()}
        own |= {"optimizers": [type(one).__name__ for one in self.trainer.optimizers]} | entry_of(self._datamodule())
        checkpoint[CHECKPOINT_KEY] = self._identity() | own | {"precision": str(self.trainer.precision)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_format(checkpoint, "ckpt_path")
        saved = checkpoint[CHECKPOINT_KEY]
        check_same(saved, self._identity())
        check_weights(checkpoint["state_dict"], self.state_dict(), "ckpt_path")
        self.state, self.final = RunState.from_dict(saved["state"]), None
        if self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            check_same_phases(saved["phases"], [phase.name for phase in self.phases])
            if not self.phases_over and checkpoint.get("optimizer_states"):
                own = build_optimizer(self.phase, self.model, self.loss_terms)
                check_optimizer(checkpoint, own, self.phase.name)
        self.preprocessing.learned = saved.get("preprocessing", {})
        self.preprocessing.hand_over(self._datamodule())

    def _identity(self) -> dict[str, Any]:
        """Return the entries that must agree between a checkpoint and the run that loads it."""
        shape, n_clusters = list(self.model.input_shape), self.model.head.n_clusters
        return {"method": type(self).__name__, "input_shape": shape, "n_clusters": n_clusters}

    def _datamodule(self) -> object:
        return None if self._trainer is None else self.trainer.datamodule  # type: ignore[attr-defined]


def clustering_module(module: pl.LightningModule) -> ClusteringModule:
    """Return the module that Lightning gives to a callback, typed as a :class:`ClusteringModule`.

    Raises:
        TypeError: the module is of another class.
    """
    if not isinstance(module, ClusteringModule):
        raise TypeError(f"the callbacks of lightning_dc drive a ClusteringModule, got {type(module).__name__}")
    return module
