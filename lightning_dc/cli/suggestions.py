"""What a user may have meant by a name that does not exist."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Collection, Iterable, Iterator

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler
from torch.optim import Optimizer

from lightning_dc.augmentation import Augmentation
from lightning_dc.encoders import Encoder
from lightning_dc.heads import ClusteringHead
from lightning_dc.losses import LossTerm
from lightning_dc.schedules import Schedule
from lightning_dc.training import ClusteringModule

_FAMILIES = (
    *(ClusteringModule, pl.LightningDataModule, Optimizer, Schedule, Encoder, ClusteringHead, LossTerm, Augmentation),
    *(pl.Callback, Logger, Profiler),
)
_ENDINGS = ("datamodule", "logger", "autoencoder", "scheduler")  # which users leave out
_OTHER_NAMES = {
    "learning_rate": "lr",
    "epochs": "max_epochs",
    "steps": "max_steps",
    "k": "n_clusters",
    "seed": "seed_everything",
}
_IN_A_SPEC = ("class_path", "init_args")


def close_to(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like another one, whatever its case; None if none is.

    Example:
        >>> close_to("adm", ["SGD", "Adam"]), close_to("xyz", ["SGD", "Adam"])
        ('Adam', None)
    """
    by_lower = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_lower, 1, cutoff)
    return by_lower[found[0]] if found else None


def close_class(path: str) -> str | None:
    """Return the class whose name is most like that of an import path; None if none is."""
    module, _, name = path.rpartition(".")
    names = {cls.__name__: cls.__name__ for family in _FAMILIES for cls in _subclasses(family)}
    imported = sys.modules.get(module)
    if imported is not None:  # such as a user's own file
        own = {key: f"{module}.{key}" for key, value in vars(imported).items() if inspect.isclass(value)}
        found = close_to(name, own)
        if found is not None:
            return found if found in names else own[found]
    shortened = {one[: -len(ending)]: one for one in names for ending in _ENDINGS if one.lower().endswith(ending)}
    candidates = {**shortened, **names}
    found = close_to(name, candidates, 0.7)
    return None if found is None else candidates[found]


def close_options(name: str, options: Collection[str]) -> list[str]:
    """Return the options that a user may have meant; none if nothing is like the name.

    Args:
        name: name of the option, with dots.
        options: names of all options.

    Example:
        >>> options = ["n_clusters", "pretraining.optimizer", "pretraining.max_epochs", "kmeans.n_init"]
        >>> close_options("pretraning.max_epochs", options), close_options("n_init", options)
        (['pretraining.max_epochs'], ['kmeans.n_init'])
        >>> close_options("pretraining.lr", options)
        ['pretraining.optimizer.lr']
    """
    head, _, leaf = name.rpartition(".")
    leaf = _OTHER_NAMES.get(leaf, leaf)
    if leaf in _optimizer_arguments() and (below := [o for o in options if _is_optimizer_of(head, o)]):
        return [f"{option}.{leaf}" for option in below]
    usual = f"{head}.{leaf}" if head else leaf
    close = usual if usual in options else close_to(name, options, 0.8)
    if close is not None:
        return [close]
    first, _, rest = name.partition(".")
    heads = {option.partition(".")[0] for option in options} | set(_IN_A_SPEC)
    close = close_to(first, heads, 0.7) if rest and first not in heads else None
    if close is not None:
        return [f"{close}.{rest}"]
    return [option for option in options if option.endswith(f".{leaf}")]


def close_sections(name: str) -> list[str]:
    """Return the options of the model or the data that a user may have meant by an option without its section.

    Example:
        >>> close_sections("k"), close_sections("batch-size"), close_sections("lr")
        (['model.n_clusters'], ['data.batch_size'], ['model.pretraining.optimizer.lr'])
    """
    leaf = _OTHER_NAMES.get(name.replace("-", "_"), name.replace("-", "_"))
    for section, family in (("model", ClusteringModule), ("data", pl.LightningDataModule)):
        if any(leaf in inspect.signature(cls).parameters for cls in _subclasses(family)):
            return [f"{section}.{leaf}"]
    return [f"model.pretraining.optimizer.{leaf}"] if leaf in _optimizer_arguments() else []


def _is_optimizer_of(head: str, option: str) -> bool:
    """Return whether an option is the optimizer of a phase, or of any phase if none is named."""
    phase, _, last = option.rpartition(".")
    return last == "optimizer" and (phase == head or not head)


def _optimizer_arguments() -> set[str]:
    kinds = (torch.optim.SGD, torch.optim.AdamW)
    return {name for kind in kinds for name in inspect.signature(kind).parameters} - {"params"}


def _subclasses(cls: type) -> Iterator[type]:
    if not inspect.isabstract(cls):
        yield cls
    subclasses: list[type] = cls.__subclasses__()
    for subclass in subclasses:
        yield from _subclasses(subclass)
