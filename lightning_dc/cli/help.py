"""Help of the command, and of its subcommands with what is used most at the beginning."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from jsonargparse import DefaultHelpFormatter

OVERVIEW = """usage: lightning-dc COMMAND [options]

Deep clustering with PyTorch Lightning.

commands:
  fit         train a model, evaluate it and write the clusters
  validate    evaluate a checkpoint on the samples held out
  test        evaluate a checkpoint on the test set
  predict     write the clusters of new samples
  select      fit many times, and choose the number of clusters and other settings
  configs     list the shipped configurations
  completion  print a script for the shell (bash, zsh, tcsh) that completes commands and options

  -h, --help  print this help; lightning-dc COMMAND --help prints that of a command
  --version   print the version

examples:
  lightning-dc fit --config dec_digits
  lightning-dc fit --model DEC --model.n_clusters 10 --data ArrayDataModule --data.x x.npy
  lightning-dc predict --ckpt_path runs/dec_digits/version_0 --data DigitsDataModule
"""
COMMANDS = ("fit", "validate", "test", "predict", "select", "configs", "completion")

_FIT = """Train a model, evaluate it and write the clusters.

used most:
  --config NAME              a shipped configuration (lightning-dc configs), or a file; flags come after it
  --model METHOD             DEC, IDEC, DCN, AEKMeans, DeepType or a class of your own;
                             --model.help METHOD lists its arguments
  --data DATAMODULE          ArrayDataModule, TableDataModule, ImageFolderDataModule, ... or a class of your own;
                             --data.help DATAMODULE lists its arguments
  --model.n_clusters K       number of clusters
  --model.pretraining.max_epochs N, --model.clustering.max_epochs N
                             length of a phase
  --model.pretraining.optimizer.lr RATE
                             learning rate of a phase
  --data.path FILE           table, texts or images (--data.x FILE for ArrayDataModule)
  --data.batch_size N, --data.val_fraction SHARE
  --trainer.accelerator cpu|gpu, --trainer.precision bf16-mixed, --seed_everything N
  --ckpt_path FILE           go on with a run; --init_from FILE starts from its network alone
  --print_config             print what would run, and stop"""
_APPLY = """{task}

used most:
  --ckpt_path FILE           checkpoint of a fit, or the folder of its run
  --data DATAMODULE          data to apply the model to; --data.help DATAMODULE lists its arguments
  --config NAME              configuration of the fit, in place of --data"""
_DESCRIPTIONS = {
    "fit": _FIT,
    "validate": _APPLY.format(task="Evaluate a checkpoint on the samples held out, or else on all samples."),
    "test": _APPLY.format(task="Evaluate a checkpoint on the test set, or else on all samples."),
    "predict": _APPLY.format(task="Write the clusters of new samples.")
    + "\n  --output.path FILE         file of the predictions, .parquet, .npz or .csv",
}
_TITLES = {
    "model": "model",
    "data": "data",
    "summary": "file of clusters and closing table",
    "baseline": "comparison with k-means on the inputs",
    "calibration": "probability of each sample that it keeps its cluster",
    "features": "tables of the inputs",
    "outcomes": "tables of clusters against targets",
    "documents": "texts that stand for each cluster",
    "annotated": "copy of the data with the clusters",
    "output": "file of predictions",
    "trainer": "trainer of Lightning",
}
_HELP = {  # in place of what Lightning says
    "ckpt_path": "checkpoint, or the folder of its run, whose last.ckpt is meant",
    "seed_everything": "seed of all random numbers; true draws one",
}
_LINKS = "Linked arguments"  # title of a group of jsonargparse
_INTERNAL = (  # options that mean nothing here, or have one right value
    "weights_only",
    "verbose",
    "return_predictions",
    "trainer",
    "summary",
    "baseline",
    "calibration",
    "features",
    "outcomes",
    "documents",
    "annotated",
    "output",
    "trainer.barebones",
    "trainer.enable_autolog_hparams",
    "trainer.model_registry",
    "trainer.reload_dataloaders_every_n_epochs",
    "trainer.use_distributed_sampler",
)


class HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Formatter that keeps the lines of a description."""


def arrange(parser: argparse.ArgumentParser, subcommand: str, groups: Mapping[str, argparse._ArgumentGroup]) -> None:
    """Put model and data first in the help of a subcommand, the trainer last, and leave out internals.

    Args:
        parser: parser of the subcommand.
        subcommand: its name.
        groups: groups of the parser's arguments by name.
    """
    parser.usage = f"lightning-dc {subcommand} [--config NAME] [options]"
    parser.description = _DESCRIPTIONS[subcommand]
    for action in parser._actions:
        action.help = _HELP.get(action.dest, action.help)
        if action.dest in _INTERNAL:
            action.help = argparse.SUPPRESS
    first = [groups[name] for name in _TITLES if name in groups]
    others = [group for group in parser._action_groups if group not in first and group.title != _LINKS]
    for group in others:
        if any(action.dest == "ckpt_path" for action in group._group_actions):
            group.title, group.description = "checkpoint", None
    for name, title in _TITLES.items():
        if name in groups:
            groups[name].title, groups[name].description = title, None
    trainer = first.pop()
    parser._action_groups[:] = [*first[:2], *others, *first[2:], trainer]
