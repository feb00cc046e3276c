"""What a DataModule has learned about preprocessing, for all data that a model is applied to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from lightning_dc.batch import Preprocessor


class Preprocessing(Callback):
    """Keeper of what the DataModule of the training data has learned, which hands it over to other DataModules.

    It warns where samples come as they are, such as those of a plain ``DataLoader``, although the model was trained on
    preprocessed ones. Every method has this callback.

    Attributes:
        learned: what has been learned, as tensors and primitives; empty if nothing.
    """

    def __init__(self) -> None:
        self.learned: dict[str, Any] = {}

    def hand_over(self, datamodule: object) -> None:
        """Make a DataModule preprocess new data as the training data were preprocessed."""
        if self.learned and isinstance(datamodule, Preprocessor):
            datamodule.load_preprocessing_state(self.learned)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(datamodule, Preprocessor):  # for other data later in this process
            self.learned = datamodule.preprocessing_state()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._warn_of_raw_samples(trainer, trainer.train_dataloader)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._warn_of_raw_samples(trainer, trainer.val_dataloaders)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._warn_of_raw_samples(trainer, trainer.test_dataloaders)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._warn_of_raw_samples(trainer, trainer.predict_dataloaders)

    def _warn_of_raw_samples(self, trainer: pl.Trainer, loader: object) -> None:
        steps = [name for name, state in self.learned.items() if not _changes_nothing(state)]
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not steps or isinstance(datamodule, Preprocessor):
            return
        source = loader if datamodule is None else datamodule
        rank_zero_warn(
            f"{type(source).__name__} gives samples as they are, but the model was trained on samples with learned "
            f"{', '.join(steps)}; give samples that are preprocessed likewise, or let a DataModule do it, such as "
            "ArrayDataModule(x)"
        )


def entry_of(datamodule: object) -> dict[str, Any]:
    """Return the entry of a checkpoint with what a DataModule has learned; empty if it learns nothing."""
    return {"preprocessing": datamodule.preprocessing_state()} if isinstance(datamodule, Preprocessor) else {}


def _changes_nothing(state: object) -> bool:
    """Return whether the state is that of a scaling that leaves samples as they are."""
    if not isinstance(state, Mapping) or not {"shift", "factor"} <= state.keys() or state.get("unit"):
        return False
    return not bool(state["shift"].any()) and bool((state["factor"] == 1).all())
