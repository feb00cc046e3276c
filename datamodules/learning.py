"""DataModules that learn more than a scaling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from datamodules.base import ClusteringDataModule
from datamodules.loading.scaling import ScalingName
from lightning_dc.errors import InputError


class Learned(Protocol):
    """What a DataModule has learned of its training rows."""

    def state_dict(self) -> dict[str, Any]:
        """It, in tensors and primitives."""


T = TypeVar("T", bound=Learned)


class LearningDataModule(ClusteringDataModule, Generic[T]):
    """A DataModule whose :meth:`load` learns something of its training rows: a vocabulary, categories, genes.

    ``load`` sets ``learned`` if it is None, and applies it. It travels with the checkpoint to whatever DataModule of
    the kind the model is applied to; what that one has loaded before is loaded again.

    Attributes:
        learned_name: what it is called in the checkpoint.
        learned: what has been learned; None before.
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
        """What :meth:`Learned.state_dict` tells."""

    def known(self) -> T:
        """What has been learned; loads the samples if nothing has yet."""
        if self.learned is None:
            self._training_samples()
        assert self.learned is not None, f"{type(self).__name__}.load() must set learned"
        return self.learned

    def training_part(self, items: Sequence[Any]) -> list[Any]:
        """Those of all samples that are trained on."""
        rows = self.training_rows(len(items))
        return list(items) if rows is None else [items[row] for row in rows.tolist()]

    def preprocessing_state(self) -> dict[str, Any]:
        """What has been learned, and the scaling, for a checkpoint of the model."""
        own = {} if self.learned is None else {self.learned_name: self.learned.state_dict()}
        return {**super().preprocessing_state(), **own}

    def load_preprocessing_state(self, state: dict[str, Any]) -> None:
        """Preprocess as another DataModule has learned to.

        Raises:
            InputError: that one was of another kind.
        """
        if self.learned_name not in state:
            kinds = sorted(set(state) - {"scaling"})
            raise InputError(
                f"ckpt_path names a checkpoint whose samples were prepared by {kinds or 'scaling'} alone, not by "
                f"{self.learned_name}, as {type(self).__name__} does; give samples of the same kind"
            )
        self.learned = self.restore(state[self.learned_name])
        self._train = self._test = None  # of what this one has learned itself
        super().load_preprocessing_state({key: value for key, value in state.items() if key != self.learned_name})
