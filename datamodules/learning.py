"""Base class of DataModules that learn more than a scaling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from datamodules.base import ClusteringDataModule
from datamodules.loading.scaling import ScalingName
from lightning_dc.errors import InputError


class Learned(Protocol):
    """An object that a DataModule has learned from its training rows."""

    def state_dict(self) -> dict[str, Any]:
        """Return what was learned as tensors and Python primitives."""


T = TypeVar("T", bound=Learned)


class LearningDataModule(ClusteringDataModule, Generic[T]):
    """Base class of DataModules that learn something from their training rows: a vocabulary, categories or genes.

    :meth:`load` sets ``learned`` if it is None, and applies it. What was learned travels with the checkpoint to each
    DataModule of the same kind that the model is applied to; samples that this one has loaded before are loaded again.

    Attributes:
        learned_name: key of the learned object in the checkpoint.
        learned: the learned object; None until something has been learned.
    """

    learned_name: str

    def __init__(
        self,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)
        self.learned: T | None = None

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> T:
        """Return the learned object whose :meth:`Learned.state_dict` is given."""

    def ensure_learned(self) -> T:
        """Return the learned object, after the samples have been loaded if nothing has been learned yet."""
        if self.learned is None:
            self.training_samples()
        assert self.learned is not None, f"{type(self).__name__}.load() must set learned"
        return self.learned

    def training_part(self, items: Sequence[Any]) -> list[Any]:
        """Return the items that belong to training rows.

        Args:
            items: one item for each sample of :meth:`load`, in its order.
        """
        rows = self.training_rows(len(items))
        return list(items) if rows is None else [items[row] for row in rows.tolist()]

    def preprocessing_state(self) -> dict[str, Any]:
        """Return what was learned, and the scaling, for a checkpoint of the model."""
        own = {} if self.learned is None else {self.learned_name: self.learned.state_dict()}
        return {**super().preprocessing_state(), **own}

    def load_preprocessing_state(self, state: dict[str, Any]) -> None:
        """Take over what another DataModule has learned, and preprocess in the same way.

        Raises:
            InputError: the other DataModule was of another kind.
        """
        if self.learned_name not in state:
            kinds = sorted(set(state) - {"scaling"})
            raise InputError(
                f"ckpt_path names a checkpoint whose samples were prepared by {kinds or 'scaling'} alone, not by "
                f"{self.learned_name}, as {type(self).__name__} does; give samples of the same kind"
            )
        self.learned = self.restore(state[self.learned_name])
        self.forget_samples()  # they were made with what this DataModule has learned itself
        super().load_preprocessing_state({key: value for key, value in state.items() if key != self.learned_name})
