"""The LightningModule that all methods share."""

from __future__ import annotations

import dataclasses
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRScheduler
from torch import Tensor, nn

from lightning_dc.augmentation import Augmentation
from lightning_dc.batch import Batch, DataDescription, Preprocessor, as_batch
from lightning_dc.distributed import world
from lightning_dc.encoders import Autoencoder, Encoder
from lightning_dc.errors import InputError
from lightning_dc.heads import ClusteringHead
from lightning_dc.losses import LossTerm
from lightning_dc.metrics import AssignmentStatistics, ClusterAgreement
from lightning_dc.randomness import mix_seed
from lightning_dc.schedules import Progress
from lightning_dc.training.checkpoint import read_checkpoint
from lightning_dc.training.hyperparameters import as_config
from lightning_dc.training.phase import Phase
from lightning_dc.training.state import Assignments, TargetDistribution
from lightning_dc.training.step import LayerStep, TrainingStep

_CHECKPOINT_KEY = "lightning_dc"


class ClusteringModule(pl.LightningModule, ABC):
    """An encoder, a clustering head and loss terms, trained through phases.

    A method derives from it, builds the parts, and says what its callbacks (``method_callbacks``) and phases
    (:meth:`configure_phases`) are. It calls ``save_hyperparameters()`` and ``set_phases()`` in its ``__init__``.

    Args:
        autoencoder: encoder, with a decoder where a loss term or a phase needs one.
        head: clustering head.
        losses: loss terms by name; phases weight them.
        augmentation: random transform of training batches; None for none.

    Attributes:
        method_callbacks: callbacks of the method, in the order in which they act.
        phases: all phases of the run, in order, the empty ones left out.
        phase_index: the current one; ``len(phases)`` when all are over.
        phase_start_step: global step at which it began.
        target: target distribution, kept by a callback.
        assignments: latest assignments of the training set, kept by a callback.
        seed: seed of everything random in training: what ``seed_everything`` was given.
    """

    def __init__(
        self,
        autoencoder: Encoder,
        head: ClusteringHead,
        losses: Mapping[str, LossTerm],
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        if augmentation is not None:
            augmentation.check(autoencoder.input_shape)
        self.autoencoder = autoencoder
        self.head = head
        self.losses = nn.ModuleDict(losses)
        self.augmentation = augmentation
        self.seed = torch.initial_seed()
        self.phases: tuple[Phase, ...] = ()
        self.phase_index = 0
        self.phase_start_step = 0
        self.target: TargetDistribution | None = None
        self.assignments: Assignments | None = None
        self.agreement = ClusterAgreement()
        self.certainty = AssignmentStatistics(head.n_clusters)
        self.method_callbacks: list[Callback] = []
        self._preprocessing: dict[str, Any] = {}
        self._settings: list[dict[str, Any]] = []

    # ---- what a method says ----------------------------------------------------------------------------------------

    @abstractmethod
    def configure_phases(self) -> Sequence[Phase]:
        """All phases of the method, in order."""

    def set_phases(self) -> None:
        """Check and take the phases of :meth:`configure_phases`; a method calls it at the end of its ``__init__``."""
        phases = tuple(phase for phase in self.configure_phases() if not phase.is_empty)
        for phase in phases:
            unknown = set(phase.config.loss_weights) - set(self.losses)
            if unknown or (phase.trainable and not phase.config.loss_weights):
                raise InputError(
                    f"loss_weights of phase {phase.name!r} name {sorted(unknown) or 'no term'}; "
                    f"choose from {', '.join(self.losses)}"
                )
            if phase.config.loss_weights and not phase.trainable:
                raise InputError(f"trainable of phase {phase.name!r} names no part, so nothing would train")
            if phase.layer is not None and (phase.config.input_dropout > 0 or phase.config.trainable is not None):
                raise InputError("layerwise takes neither input_dropout nor trainable; its noise is dropout")
            missing = set(phase.trainable) - self.parts().keys()
            if missing:
                raise InputError(
                    f"trainable of phase {phase.name!r} names {sorted(missing)}, which {type(self).__name__} does not "
                    f"have; choose from {', '.join(self.parts())}"
                )
            if phase.layer is not None and self.autoencoder.n_layers == 0:
                raise InputError(
                    f"{type(self.autoencoder).__name__} has no layer-wise pretraining; set layerwise.max_epochs to 0"
                )
        if not phases:
            raise InputError("every phase has length 0, so there is nothing to train; set max_epochs of one of them")
        self.phases = phases

    def parts(self) -> dict[str, nn.Module]:
        """The parts that a phase can train, by the names of ``training.PARTS``."""
        parts = {"encoder": self.autoencoder.encoder, "head": self.head}
        if isinstance(self.autoencoder, Autoencoder):
            parts["decoder"] = self.autoencoder.decoder
        return parts

    @property
    def feature_names(self) -> list[str]:
        """Names of the inputs: those of the DataModule, or else their numbers."""
        data = self._datamodule()
        names = DataDescription.of(data).feature_names
        return [f"input_{j}" for j in range(math.prod(self.autoencoder.input_shape))] if names is None else [*names]

    def summary_rows(self) -> list[tuple[str, str]]:
        """What a method adds to the table at the end of a run: name and value."""
        return []

    def configure_callbacks(self) -> list[Callback]:
        """The method's callbacks, without those that the trainer has already."""
        attached = self.trainer.callbacks  # type: ignore[attr-defined]
        return [callback for callback in self.method_callbacks if callback not in attached]

    def make_step(self, batch: Batch, batch_idx: int) -> TrainingStep:
        """The quantities of a training step that loss terms read; a method with other quantities overrides it."""
        kind = TrainingStep if self.phase.layer is None else LayerStep
        return kind(self, batch, batch_idx % self.trainer.accumulate_grad_batches)

    def setup(self, stage: str) -> None:
        """Agree on the seed and start with the first phase; a checkpoint, restored later, says otherwise."""
        self.seed = self.trainer.strategy.broadcast(self.seed)
        if stage == TrainerFn.FITTING:
            self.phase_index = 0
            self.phase_start_step = self.global_step
            self.target = self.assignments = None
            for phase in self.phases:  # a slip in the optimizer of a late phase must not wait for it
                self._build_optimizer(phase)
        self._hand_over_preprocessing()

    # ---- phases ----------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """The current phase; the last one when all are over."""
        return self.phases[min(self.phase_index, len(self.phases) - 1)]

    @property
    def phases_over(self) -> bool:
        """All phases are over."""
        return self.phase_index >= len(self.phases)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return -(-int(self.trainer.num_training_batches) // self.trainer.accumulate_grad_batches)

    @property
    def progress(self) -> Progress:
        """Where the current phase stands."""
        return Progress(self.global_step - self.phase_start_step, self.phase.n_steps(self.steps_per_epoch))

    def begin_next_phase(self) -> None:
        """End the current phase at this step: the next one gets a fresh optimizer; after the last the trainer stops."""
        self.phase_index += 1
        self.phase_start_step = self.global_step
        if self.phases_over:
            self.trainer.should_stop = True
        else:
            self.trainer.strategy.setup_optimizers(self.trainer)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self._build_optimizer(self.phase)
        self._settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        return optimizer

    def _build_optimizer(self, phase: Phase) -> torch.optim.Optimizer:
        if not phase.trainable:
            return torch.optim.SGD(self.parameters(), lr=0.0)  # Lightning counts the steps of an optimizer
        if phase.layer is not None:
            assert isinstance(self.autoencoder, Autoencoder)
            parameters = self.autoencoder.layer_parameters(phase.layer)
        else:
            parts = self.parts()
            parameters = [parameter for part in phase.trainable for parameter in parts[part].parameters()]
        # Parameters of a loss train where it is a loss.
        parameters += [parameter for name in phase.config.loss_weights for parameter in self.losses[name].parameters()]
        factor = phase.config.bias_lr_factor
        weights = [parameter for parameter in parameters if parameter.ndim > 1 or factor == 1.0]
        biases = [parameter for parameter in parameters if parameter.ndim <= 1 and factor != 1.0]
        try:
            optimizer = phase.config.optimizer([{"params": group} for group in (weights, biases) if group])
        except (TypeError, ValueError) as error:
            raise InputError(f"optimizer of phase {phase.name!r}: {error}") from error
        for group in optimizer.param_groups[1:]:
            group["lr"] *= factor
        if phase.config.momentum_schedule is not None and "momentum" not in optimizer.param_groups[0]:
            raise InputError(
                f"phase {phase.name!r} has a momentum_schedule, but {type(optimizer).__name__} has no momentum; remove "
                "the schedule, or use SGD"
            )
        return optimizer

    def set_rates(self) -> None:
        """Set learning rate and momentum to what the phase's schedules say at this step.

        The other settings are those of this run, too, not of a checkpoint that it resumes from.
        """
        config, progress = self.phase.config, self.progress
        schedules = {"lr": config.lr_schedule, "momentum": config.momentum_schedule}
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        for group, settings in zip(optimizer.param_groups, self._settings, strict=True):
            group.update(settings)
            for key, schedule in schedules.items():
                if schedule is not None:
                    group[key] = settings[key] * schedule(progress)

    # ---- inference -------------------------------------------------------------------------------------------------

    @property
    def wide_dtype(self) -> torch.dtype:
        """Precision of embeddings, assignments and targets: float32, or float64 in a float64 run."""
        return torch.promote_types(next(self.head.parameters()).dtype, torch.float32)

    def embed(self, x: Tensor) -> Tensor:
        """Embed samples, (B, *input_shape) to (B, D), float32 at least."""
        return self.autoencoder.encode(x).to(self.wide_dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Soft assignments of samples, (B, *input_shape) to (B, K), rows sum to 1."""
        return self.head(self.embed(x))  # type: ignore[no-any-return]

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Index, embedding and soft assignments of a batch.

        Returns:
            ``index`` (B,), ``z`` (B, D), ``q`` (B, K).
        """
        batch = as_batch(batch)
        z = self.embed(batch.x)
        return {"index": batch.index, "z": z, "q": self.head(z)}

    # ---- training --------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> STEP_OUTPUT:
        """The weighted sum of the phase's loss terms, averaged over the global batch.

        Returns:
            ``loss`` and, detached, each of its terms by name.
        """
        batch = as_batch(batch)
        rank, world_size = world()
        # For random modules of a user's encoder; what is ours draws from the step's own generator.
        self._seed_default_generators(mix_seed(self.seed, self.global_step, rank))
        step = self.make_step(batch, batch_idx)
        terms: dict[str, Tensor] = {}
        loss = torch.zeros((), device=batch.x.device)
        for name, weight in self.phase.loss_weights(self.progress).items():
            term = self.losses[name](step)
            if term.ndim:  # one value a sample: DDP's mean over ranks then is the mean over the global batch
                term = term.sum() * (world_size / batch.size)
            terms[name] = term.detach()
            loss = loss + weight * term
        if world_size > 1 or not terms:
            loss = loss + 0.0 * sum(parameter.flatten()[0] for parameter in self.parameters())
        return {"loss": loss, **terms}

    def on_fit_end(self) -> None:
        self._seed_default_generators(self.seed)
        datamodule = self._datamodule()
        if isinstance(datamodule, Preprocessor):  # for other data, in the same process
            self._preprocessing = datamodule.preprocessing_state()

    def _seed_default_generators(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 100 times as long
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    # ---- evaluation ------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch)

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def _evaluate(self, batch: Any) -> None:
        batch = as_batch(batch)
        q = self(batch.x)
        self.certainty.update(q)
        if batch.y is not None:
            self.agreement.update(q.argmax(1), batch.y)

    def _log_metrics(self, prefix: str) -> None:
        metrics = self.certainty.compute() | (self.agreement.compute() if self.agreement.is_labelled else {})
        self.log_dict({f"{prefix}/{name}": value for name, value in metrics.items()})
        self.certainty.reset()
        self.agreement.reset()

    # ---- checkpoints -----------------------------------------------------------------------------------------------

    def save_hyperparameters(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's, with components described in primitives: the checkpoint alone rebuilds the model."""
        frame = inspect.currentframe()
        assert frame is not None
        kwargs.setdefault("frame", frame.f_back)
        super().save_hyperparameters(*args, **kwargs)
        if "_instantiator" in self.hparams:  # the command line has described them, but not what it links
            accepted = inspect.signature(type(self)).parameters
            described = {
                key: as_config(value, key) if dataclasses.is_dataclass(value) else value
                for key, value in self.hparams.items()
                if key in accepted or key.startswith("_")
            }
        else:
            described = as_config(dict(self.hparams), type(self).__name__)
            described["_class_path"] = f"{type(self).__module__}.{type(self).__qualname__}"
            described["_instantiator"] = "lightning.pytorch.cli.instantiate_module"
        self.hparams.clear()
        self.hparams.update(described)
        self._hparams_initial = self._to_hparams_dict(described)

    def init_autoencoder(self, path: str | Path) -> None:
        """Start from the autoencoder of a checkpoint, whatever method has trained it, and scale data as it is used to.

        Args:
            path: a checkpoint of lightning_dc.

        Raises:
            InputError: it can't be read, or holds another autoencoder.
        """
        checkpoint = read_checkpoint(path, "init_from")
        weights = {k: v for k, v in checkpoint["state_dict"].items() if k.startswith("autoencoder.")}
        own = {k: v for k, v in self.state_dict().items() if k.startswith("autoencoder.")}
        self._check_weights(weights, own, "init_from")
        self.load_state_dict(weights, strict=False)
        self._preprocessing = checkpoint.get(_CHECKPOINT_KEY, {}).get("preprocessing", {})
        rank_zero_info(f"The autoencoder starts from {path}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[_CHECKPOINT_KEY] = {
            "method": type(self).__name__,
            "input_shape": list(self.autoencoder.input_shape),
            "n_clusters": self.head.n_clusters,
            "phases": [phase.name for phase in self.phases],
            "phase_index": self.phase_index,
            "phase_start_step": self.phase_start_step,
            "seed": self.seed,
        }
        datamodule = self._datamodule()
        if isinstance(datamodule, Preprocessor):
            checkpoint[_CHECKPOINT_KEY]["preprocessing"] = datamodule.preprocessing_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get(_CHECKPOINT_KEY)
        if state is None:
            raise InputError("ckpt_path names a checkpoint that lightning_dc has not written; give one of its own")
        own = {
            "method": type(self).__name__,
            "input_shape": list(self.autoencoder.input_shape),
            "n_clusters": self.head.n_clusters,
        }
        for key, value in own.items():
            if state[key] != value:
                raise InputError(
                    f"ckpt_path names a checkpoint with {key}={state[key]}, but this run has {key}={value}; "
                    "use the configuration that wrote it"
                )
        self._check_weights(checkpoint["state_dict"], self.state_dict(), "ckpt_path")
        fitting = self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        if fitting and state["phases"] != [p.name for p in self.phases]:
            raise InputError(
                f"ckpt_path names a checkpoint of a run with phases {state['phases']}, but this run has "
                f"{[phase.name for phase in self.phases]}; resume with the same phases"
            )
        self.phase_index = state["phase_index"]
        if fitting and not self.phases_over and checkpoint.get("optimizer_states"):
            self._check_optimizer(checkpoint["optimizer_states"])
        self.phase_start_step = state["phase_start_step"]
        self.seed = state["seed"]
        self._preprocessing = state.get("preprocessing", {})
        self._hand_over_preprocessing()

    def _check_optimizer(self, states: Sequence[Mapping[str, Any]]) -> None:
        own = self._build_optimizer(self.phase)
        settings = [set(group) for group in own.param_groups]
        if [set(group) for group in states[0]["param_groups"]] != settings:
            raise InputError(
                f"ckpt_path names a checkpoint of another optimizer than {type(own).__name__} in phase "
                f"{self.phase.name!r}; resume with the same optimizer and bias_lr_factor"
            )

    @staticmethod
    def _check_weights(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], argument: str) -> None:
        for name in own.keys() | weights.keys():
            shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (weights, own)]
            if shapes[0] != shapes[1]:
                raise InputError(
                    f"{argument} names a checkpoint where {name} has shape {shapes[0]}, but here it has {shapes[1]}; "
                    "use the configuration that wrote it"
                )

    def _hand_over_preprocessing(self) -> None:
        """New data are preprocessed as the training data were."""
        datamodule = self._datamodule()
        if isinstance(datamodule, Preprocessor) and self._preprocessing:
            datamodule.load_preprocessing_state(self._preprocessing)

    def _datamodule(self) -> object:
        return None if self._trainer is None else self.trainer.datamodule  # type: ignore[attr-defined]


def clustering_module(module: pl.LightningModule) -> ClusteringModule:
    """Return the module that a callback is called with as a :class:`ClusteringModule`.

    Raises:
        TypeError: it is another kind of module.
    """
    if not isinstance(module, ClusteringModule):
        raise TypeError(f"the callbacks of lightning_dc drive a ClusteringModule, got {type(module).__name__}")
    return module
