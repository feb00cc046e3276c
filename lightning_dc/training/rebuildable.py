"""Modules that a checkpoint alone rebuilds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import lightning.pytorch as pl

from lightning_dc.errors import InputError
from lightning_dc.training.checkpoint import find_checkpoint, read_checkpoint
from lightning_dc.training.hyperparameters import as_config, describe_arguments
from lightning_dc.training.own_defaults import own_defaults
from lightning_dc.training.trust import INSTANTIATOR, CheckpointGuard


class RebuildableModule(pl.LightningModule):
    """Base class of modules whose constructor's arguments are kept as hyperparameters, in primitives.

    A subclass calls :meth:`save_arguments` at the end of its constructor.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments of the most derived constructor, which become the hyperparameters."""
        module = super().__new__(cls)
        vars(module)["_arguments"] = (args, kwargs)
        return module

    def save_arguments(self, arguments: tuple[Sequence[Any], Mapping[str, Any]]) -> None:
        """Save the constructor's arguments as hyperparameters, with the import path of the class.

        Args:
            arguments: positional arguments, and those by name.
        """
        described = describe_arguments(type(self), *arguments)
        described["_class_path"] = f"{type(self).__module__}.{type(self).__qualname__}"
        described["_instantiator"] = INSTANTIATOR
        self.save_hyperparameters(described)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # weights_only is always true, and trust is new
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,
        strict: bool | None = None,
        weights_only: bool = True,
        trust: Collection[str] = (),
        **kwargs: Any,
    ) -> Self:
        """Rebuild a method from a checkpoint, without executing foreign code.

        Args:
            checkpoint_path: the file, or the folder of its run.
            map_location: device of the weights, as in ``torch.load``.
            strict: as in Lightning.
            weights_only: must be true: a checkpoint is never unpickled.
            trust: names of packages whose classes may be imported and built, beside those of lightning_dc, torch.optim,
                torch.nn and the package of this class.
            kwargs: arguments of the constructor to change.

        Raises:
            InputError: the file cannot be read, would build something that is not trusted, or does not fit the class.
        """
        if weights_only is not True:
            raise InputError(f"weights_only={weights_only} would execute code of the checkpoint; leave it out")
        file = find_checkpoint(checkpoint_path, "checkpoint_path")
        hyper_parameters = read_checkpoint(file, "checkpoint_path")["hyper_parameters"]
        CheckpointGuard(RebuildableModule, {*trust, cls.__module__}, "checkpoint_path").check(hyper_parameters)
        changed = {name: as_config(value, name) for name, value in kwargs.items()}
        try:
            with own_defaults():
                return super().load_from_checkpoint(file, map_location, None, strict, weights_only=True, **changed)
        except InputError:
            raise
        except Exception as error:  # whatever constructors make of strange arguments
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise InputError(
                f"checkpoint_path={str(file)!r} can't be rebuilt as a {cls.__name__} ({reason}); give a checkpoint of "
                "this class, and arguments that it has"
            ) from error
