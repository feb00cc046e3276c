"""`fit`, `validate`, `test` and `predict`: a LightningCLI with links, in which flags override a checkpoint."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

import datamodules  # noqa: F401 - makes the short names of the DataModules known
import lightning_dc.methods  # noqa: F401 - the same for methods
from lightning_dc.batch import DataDescription, Preprocessor, TargetSpec
from lightning_dc.cli.claim import ConfigWriter, RunTrainer, claimed_folder
from lightning_dc.cli.flags import (
    check_checkpoint_is_named,
    needs_checkpoint,
    phases_with_a_loss_weight,
    run_name,
    split_configs,
    trusted_packages,
    value_of,
    with_lengths_in_epochs,
    with_nulls_of_settings,
)
from lightning_dc.cli.help import COMMANDS, HelpFormatter, arrange
from lightning_dc.cli.parser import OneLineParser, given
from lightning_dc.cli.stop_signal import StopSignal
from lightning_dc.cli.trainer_checks import check_seed, check_trainer_options
from lightning_dc.errors import InputError
from lightning_dc.reports import (
    AnnotatedCopy,
    Baseline,
    Calibration,
    ClusteringProgressBar,
    DocumentTable,
    FeatureTable,
    OutcomeTables,
    PredictionWriter,
    RunSummary,
)
from lightning_dc.training import ClusteringModule, PhaseConfig, read_checkpoint
from lightning_dc.training.checkpoint import find_checkpoint
from lightning_dc.training.checkpoint_format import CHECKPOINT_KEY
from lightning_dc.training.hyperparameters import as_config
from lightning_dc.training.trust import CheckpointGuard

_LINKED = ("input_shape", "target_spec", "feature_groups")  # arguments of a model whose values come from the data
_REPORTS = {
    "summary": RunSummary,
    "baseline": Baseline,
    "calibration": Calibration,
    "outcomes": OutcomeTables,
    "features": FeatureTable,
    "documents": DocumentTable,
    "annotated": AnnotatedCopy,
}
_CKPT_PATH = "ckpt_path"
_INIT_FROM = "init_from"
_TRUST = "trust"
_RUNS = "runs"


class ClusteringCLI(LightningCLI):
    """LightningCLI for methods and DataModules of deep clustering."""

    def __init__(self, args: Sequence[str]) -> None:
        self._args = with_lengths_in_epochs(with_nulls_of_settings(args))
        given.set(self._args)
        super().__init__(
            ClusteringModule,
            pl.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=ConfigWriter,
            save_config_kwargs={"overwrite": True},  # the folder is claimed
            trainer_class=RunTrainer,
            parser_class=OneLineParser,
            parser_kwargs={"prog": "lightning-dc", "formatter_class": HelpFormatter},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            trainer_defaults={
                "accelerator": "auto",
                "devices": 1,
                "max_epochs": -1,
                "log_every_n_steps": 10,
                "logger": {
                    "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
                    "init_args": {"save_dir": _RUNS, "name": run_name(args), "default_hp_metric": False},
                },
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
            },
            args=self._args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Return only the subcommand that is asked for, if there is one, since building all of them takes long."""
        known = LightningCLI.subcommands()
        asked = self._args[0] if self._args else None
        return {asked: known[asked]} if asked in known else known

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        if len(self.subcommands()) > 1 and parser._subcommands_action is not None:
            for name in COMMANDS:  # for scripts of completion; main runs the other commands itself
                if name not in self._subcommand_parsers:
                    parser._subcommands_action.add_subcommand(name, OneLineParser())

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for name in _LINKED:  # links to arguments that a model does not have are ignored
            parser.link_arguments(
                "data",
                f"model.init_args.{name}",
                compute_fn=functools.partial(self._linked_value, name),
                apply_on="instantiate",
            )

    def _linked_value(self, name: str, data: Any) -> Any:
        """Return the value that the data give to an argument of the model.

        A checkpoint first restores what preprocessing has learned, such as a vocabulary or categories.
        """
        path = self.config[self.subcommand].get(_CKPT_PATH)
        checkpoint = {} if path is None else read_checkpoint(path, _CKPT_PATH)
        state = checkpoint.get(CHECKPOINT_KEY, {}).get("preprocessing")
        if state and isinstance(data, Preprocessor):
            data.load_preprocessing_state(state)
        if name == "input_shape":
            return data.input_shape
        described = getattr(DataDescription.of(data), name)
        if described is None and self.subcommand != "fit":  # new samples may lack targets or groups
            described = checkpoint.get("hyper_parameters", {}).get(name)
            if isinstance(described, Mapping):
                described = TargetSpec(**described)
        return described

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        check_checkpoint_is_named(self._args)
        configs, flags = split_configs(self._args[1:])
        path = value_of(f"--{_CKPT_PATH}", flags)
        if path and not configs and value_of("--model", flags) is None:
            args = self._with_checkpoint(path)  # the checkpoint defines the model
        phases = phases_with_a_loss_weight(flags)
        if phases:  # all other weights keep the method's defaults, unless a file changes them
            silent = [arg for arg in args if not arg.startswith("--print_config")]
            model = parser.parse_args(silent)[args[0]]["model"]
            args = [args[0], "--config", _default_loss_weights(model["class_path"], phases), *args[1:]]
        self.config = parser.parse_args(args)  # Lightning's method warns if the process has arguments
        check_seed(self.config[self.config["subcommand"]]["seed_everything"])

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})  # a checkpoint must never run code
        parser.add_argument(
            f"--{_TRUST}",
            type=str | list[str] | None,
            help="packages whose classes a checkpoint may build, such as your own; those of --model, of --data and of "
            "configuration files are trusted, too",
        )
        if subcommand == "fit":
            for name, report in _REPORTS.items():
                parser.add_lightning_class_args(report, name)
            parser.add_argument(
                f"--{_INIT_FROM}", type=str | None, help="checkpoint, of any method, from whose network to start"
            )
        else:  # all subcommands accept a configuration of fit, such as the one saved with a run
            for name in _REPORTS:
                parser.add_argument(f"--{name}", type=dict | None, help=argparse.SUPPRESS)
            parser.add_argument(f"--{_INIT_FROM}", type=str | None, help=argparse.SUPPRESS)
        if subcommand == "predict":
            parser.add_lightning_class_args(PredictionWriter, "output")
            parser.set_defaults({"output.path": "predictions.parquet", "return_predictions": False})
        arrange(parser, subcommand, parser.groups or {})
        return parser

    def _parse_ckpt_path(self) -> None:
        """Take the model from the checkpoint, except for arguments that the command line sets.

        In Lightning, the checkpoint overrides flags. Here the checkpoint overrides configuration files, and flags
        override the checkpoint.
        """
        subcommand = self.config.get("subcommand")
        path = self.config[subcommand].get(_CKPT_PATH) if subcommand else None
        if path is None:
            return
        path = str(find_checkpoint(path, _CKPT_PATH))
        named = self.config[subcommand].get("model")
        class_path = self._hyper_parameters(path).get("_class_path")
        if class_path is not None and _is_same_class(named.class_path, class_path):
            self.config = self.parser.parse_args(self._with_checkpoint(path))
        self.config[subcommand][_CKPT_PATH] = path

    def _with_checkpoint(self, path: str) -> list[str]:
        """Return the arguments, with the model of a checkpoint between configuration files and flags."""
        hparams = self._hyper_parameters(path)
        class_path = hparams.get("_class_path")
        init_args = {key: value for key, value in hparams.items() if key not in _LINKED and not key.startswith("_")}
        configs, flags = split_configs(self._args[1:])
        model = yaml.safe_dump({"model": {"class_path": class_path, "init_args": init_args}})
        return [self._args[0], *configs, "--config", model, *flags]

    def _hyper_parameters(self, path: str) -> dict[str, Any]:
        """Return the hyperparameters of a checkpoint, after a check that building from them is safe."""
        hyper_parameters: dict[str, Any] = read_checkpoint(path, _CKPT_PATH)["hyper_parameters"]
        CheckpointGuard(ClusteringModule, trusted_packages(self._args[1:]), _CKPT_PATH).check(hyper_parameters)
        return hyper_parameters

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if self.subcommand != "fit":
            self.save_config_callback = None
            if config[_CKPT_PATH] is None:
                raise InputError(needs_checkpoint(self.subcommand))
        trainer = config["trainer"]
        if config[_CKPT_PATH] is not None and trainer["precision"] is None:
            trainer["precision"] = read_checkpoint(config[_CKPT_PATH], _CKPT_PATH)[CHECKPOINT_KEY].get("precision")
        check_trainer_options(trainer)
        if trainer["accelerator"] == "auto" and torch.backends.mps.is_available():
            trainer["accelerator"] = "cpu"  # MPS has no float64, which sums over the data set need
        if self.subcommand == "predict":
            trainer["logger"] = False
        arguments = getattr(trainer["logger"], "init_args", {})
        if trainer["default_root_dir"] is not None and arguments.get("save_dir") == _RUNS:
            arguments["save_dir"] = trainer["default_root_dir"]

    def before_fit(self) -> None:
        """Start from the network of ``--init_from``."""
        init_from = self._get(self.config, _INIT_FROM)
        if init_from is not None:
            self.model.init_network(init_from)

    def fit(self, **kwargs: Any) -> None:
        """Train, which LightningCLI calls, in a folder that the first process claims."""
        trainer = self.trainer
        assert isinstance(trainer, RunTrainer)
        with contextlib.ExitStack() as stack:
            if trainer.global_rank == 0 and not trainer.fast_dev_run:  # type: ignore[attr-defined]
                root = self._get(self.config, "trainer")["default_root_dir"]
                clusters = self._get(self.config, "summary")["file_name"]
                ckpt_path = self._get(self.config, _CKPT_PATH)
                stack.enter_context(claimed_folder(trainer, root, run_name(self._args), clusters, ckpt_path))
            trainer.fit(**kwargs)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer = self._get(self.config_init, "trainer")
        callbacks = trainer.get("callbacks") or []
        callbacks = list(callbacks) if isinstance(callbacks, list) else [callbacks]
        has_bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
        if trainer.get("enable_progress_bar") is not False and not has_bar:
            callbacks.append(ClusteringProgressBar())
        if self.subcommand != "fit":
            callbacks = [callback for callback in callbacks if not isinstance(callback, ModelCheckpoint)]
            kwargs["enable_checkpointing"] = False
        elif trainer.get("enable_checkpointing") is not False and not any(
            isinstance(callback, ModelCheckpoint) for callback in callbacks
        ):
            # A single file, which is replaced by a complete one at the end of each epoch.
            callbacks.append(
                ModelCheckpoint(filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
            )
        # Lightning refuses callbacks of the type Checkpoint, which StopSignal has, where checkpoints are switched off.
        if self.subcommand == "fit" and trainer.get("enable_checkpointing") is not False:
            callbacks.append(StopSignal())
        return super().instantiate_trainer(**{**kwargs, "callbacks": callbacks})


def _is_same_class(path: str, other: str) -> bool:
    """Return whether two import paths lead to the same class."""
    try:
        return _import(path) is _import(other)
    except (ImportError, AttributeError):
        return False


def _import(path: str) -> Any:
    module, _, attribute = path.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _default_loss_weights(class_path: str, phases: Sequence[str]) -> str:
    """Return a configuration, as YAML, with the loss weights that some phases of a method have by default."""
    parameters = inspect.signature(_import(class_path)).parameters
    defaults = {phase: parameters[phase].default for phase in phases if phase in parameters}
    init_args = {
        phase: {"loss_weights": as_config(config.loss_weights, phase)}
        for phase, config in defaults.items()
        if isinstance(config, PhaseConfig)
    }
    return yaml.safe_dump({"model": {"class_path": class_path, "init_args": init_args}}, sort_keys=False)
