"""What every DataModule of this project shares."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from os import fspath
from typing import Any, get_args

import lightning.pytorch as pl
import torch
from torch import Tensor

from datamodules.loading.loader import BatchLoader
from datamodules.loading.samples import CheckedSamples, Samples, subset
from datamodules.loading.scaling import Scaling, ScalingName
from datamodules.loading.sparse import SparseRows
from lightning_dc.batch import TargetSpec
from lightning_dc.errors import InputError


class ClusteringDataModule(pl.LightningDataModule, ABC):
    """Samples in memory, in whole batches, on any number of processes.

    A DataModule derives from it and writes :meth:`load`; with data that are split into training and test set, also
    :meth:`load_test`. Labels are optional, and only ever used to evaluate.

    Args:
        batch_size: samples in a training batch, over all processes.
        scaling: ``rms`` (the mean of ||x||^2 / d is 1, as in DEC), ``standard`` (each feature), ``unit`` (||x||^2 / d
            is 1 for each sample, as for embeddings that are compared by their cosine) or ``none``; learned on the
            training samples, kept in the checkpoint and applied to all data that the checkpoint is applied to.
            ``standard`` is refused for sparse samples.
        val_fraction: share of the training samples that is held out for validation.
        keep_on_device: hold the samples on the accelerator; refused for sparse samples, which stay in main memory.

    Raises:
        InputError: an argument out of range.
    """

    def __init__(
        self,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
    ) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # more processes than evaluation batches
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size} must be at least 1")
        if scaling not in get_args(ScalingName):
            raise InputError(f"scaling={scaling!r} is unknown; choose from {', '.join(get_args(ScalingName))}")
        if not 0.0 <= val_fraction < 1.0:
            raise InputError(f"val_fraction={val_fraction} is a share of the samples and must lie in [0, 1)")
        self.batch_size = batch_size
        self.scaling_name: ScalingName = scaling
        self.val_fraction = val_fraction
        self.keep_on_device = keep_on_device
        self.seed = torch.initial_seed()
        self._train: CheckedSamples | None = None
        self._test: CheckedSamples | None = None
        self._scaling: Scaling | None = None

    # ---- what a DataModule says ------------------------------------------------------------------------------------

    @abstractmethod
    def load(self) -> Samples:
        """All samples, or those of the training set where :meth:`load_test` has others."""

    def load_test(self) -> Samples | None:
        """Samples of the test set; None if there is none."""
        return None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample. It loads the data, unless a subclass knows better."""
        return tuple(self._training_samples().x.shape[1:])

    @property
    def target_spec(self) -> TargetSpec | None:
        """What the targets of the samples are; None without targets."""
        return None

    @property
    def feature_names(self) -> Sequence[str] | None:
        """Name of each input; None where they have none."""
        return None

    @property
    def has_terms(self) -> bool:
        """The inputs are terms of texts: the closing table lists those heavier in a cluster than in the rest."""
        return False

    @property
    def feature_groups(self) -> Sequence[Sequence[int]] | None:
        """Inputs that stand for one thing, such as the one-hot columns of a category; None for each by itself."""
        return None

    def training_rows(self, n_samples: int) -> Tensor | None:
        """Rows of :meth:`load` that are trained on, in order; None for all.

        For a :meth:`load` that learns something of its samples, such as a vocabulary.

        Args:
            n_samples: number of samples of :meth:`load`.

        Raises:
            InputError: none are left.
        """
        if self.val_fraction == 0:
            return None
        return self._order(n_samples)[self._n_held_out(n_samples) :].sort().values

    # ---- Lightning's hooks -----------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        if self.trainer is not None:
            self.seed = self.trainer.strategy.broadcast(self.seed)
        if stage == "fit":  # else a checkpoint, restored later, may say how to preprocess
            self._training_samples()
            self._test_samples()

    def train_dataloader(self) -> BatchLoader:
        samples = self._training_samples()
        return self._loader(samples, self.training_rows(len(samples.x)), shuffle=True)

    def val_dataloader(self) -> BatchLoader | list[Any]:
        """The held-out samples, or else the test set; the whole data set where there is neither, but not while fitting.

        While fitting, a callback evaluates the training set at every refresh, so a second pass would add nothing.
        """
        samples = self._training_samples()
        if self.val_fraction > 0:
            return self._loader(samples, self._held_out_rows(), shuffle=False)
        test = self._test_samples()
        if test is not None:
            return self._loader(test, None, shuffle=False)
        fitting = self.trainer is not None and self.trainer.state.fn == "fit"
        if not fitting:
            return self._loader(samples, None, shuffle=False)
        # An empty list is Lightning's way to say that there is no validation; it warns all the same.
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        return []

    def test_dataloader(self) -> BatchLoader:
        """The test set; the whole data set where there is none."""
        return self._loader(self._test_samples() or self._training_samples(), None, shuffle=False)

    def predict_dataloader(self) -> BatchLoader:
        """All samples of :meth:`load`, in its order, and then those of :meth:`load_test`."""
        samples, test = self._training_samples(), self._test_samples()
        if test is not None:
            samples = CheckedSamples.join(samples, test)
        return self._loader(samples, None, shuffle=False)

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed}  # of the order and of the split

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seed = state_dict["seed"]

    def preprocessing_state(self) -> dict[str, Any]:
        """The scaling, for a checkpoint of the model."""
        return {} if self._scaling is None else {"scaling": self._scaling.state_dict()}

    def load_preprocessing_state(self, state: dict[str, Any]) -> None:
        """Scale as another DataModule has learned to; what this one's ``scaling`` says no longer counts.

        Raises:
            InputError: the samples were made in a way that this DataModule doesn't know, such as TF-IDF, or the scaling
                belongs to samples of another shape.
        """
        foreign = sorted(state.keys() - {"scaling"})
        if foreign:  # a subclass takes its own out
            raise InputError(
                f"ckpt_path names a checkpoint of a model whose samples were made with {', '.join(foreign)}, which "
                f"{type(self).__name__} does not do; give the DataModule that it was trained with"
            )
        if "scaling" not in state:
            return
        scaling = Scaling(**state["scaling"])
        if scaling.shift.ndim and tuple(scaling.shift.shape) != self.input_shape:
            raise InputError(
                f"ckpt_path names a checkpoint whose samples have shape {tuple(scaling.shift.shape)}, but those of "
                f"{type(self).__name__} have {self.input_shape}; give samples of the same features"
            )
        self._scaling = scaling

    # ---- the inside ------------------------------------------------------------------------------------------------

    @property
    def _source_files(self) -> Mapping[str, Any]:
        """Files or folders that the training samples come from, by their arguments."""
        return {}

    def _samples_name(self) -> str:
        """What messages about the training samples call them."""
        files = ", ".join(f"{argument}={fspath(path)!r}" for argument, path in self._source_files.items())
        return f"{type(self).__name__}({files})" if files else f"{type(self).__name__}.load()"

    def _training_samples(self) -> CheckedSamples:
        if self._train is None:
            self._train = CheckedSamples.of(self.load(), self.target_spec, self._samples_name())
        return self._train

    def _test_samples(self) -> CheckedSamples | None:
        if self._test is None:
            test = self.load_test()
            name = f"{type(self).__name__}.load_test()"
            self._test = None if test is None else CheckedSamples.of(test, self.target_spec, name)
            if self._test is not None and self._test.x.shape[1:] != self._training_samples().x.shape[1:]:
                raise InputError(
                    f"{type(self).__name__}.load_test() returned samples of shape {tuple(self._test.x.shape[1:])}, but "
                    f"load() those of shape {tuple(self._training_samples().x.shape[1:])}"
                )
        return self._test

    def _order(self, n_samples: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed % (1 << 63))
        return torch.randperm(n_samples, generator=generator)

    def _n_held_out(self, n_samples: int) -> int:
        n_held_out = max(1, round(self.val_fraction * n_samples))
        if n_held_out == n_samples:
            raise InputError(
                f"val_fraction={self.val_fraction} leaves none of {n_samples} samples to train on; lower it"
            )
        return n_held_out

    def _held_out_rows(self) -> Tensor:
        n_samples = len(self._training_samples().x)
        return self._order(n_samples)[: self._n_held_out(n_samples)].sort().values

    def _loader(self, samples: CheckedSamples, rows: Tensor | None, *, shuffle: bool) -> BatchLoader:
        x, y, targets, ids = samples
        if rows is not None:
            x, ids = subset(x, rows), None if ids is None else ids[rows.numpy()]
            y, targets = (None if column is None else column[rows] for column in (y, targets))
        if self._scaling is None:
            training = self._training_samples().x
            training_rows = self.training_rows(len(training))
            training = training if training_rows is None else subset(training, training_rows)
            try:
                self._scaling = Scaling.learn(self.scaling_name, training)
            except InputError as error:
                raise InputError(f"{self._samples_name()}: {error}") from error
        if self.keep_on_device and not isinstance(x, Tensor):
            what = (
                "sparse and would have to be made dense" if isinstance(x, SparseRows) else "in a file and would be read"
            )
            raise InputError(
                f"keep_on_device=True needs dense samples, but these are {what} as a whole; leave it out, or give a "
                "dense array"
            )
        if self.keep_on_device and self.trainer is not None and isinstance(x, Tensor):
            device = self.trainer.strategy.root_device
            x = x.to(device)
            y, targets = (None if column is None else column.to(device) for column in (y, targets))
        dtype = torch.float64 if x.dtype == torch.float64 and _runs_in_float64(self.trainer) else torch.float32
        return BatchLoader(
            x,
            y,
            scaling=self._scaling,
            batch_size=self.batch_size if shuffle else max(self.batch_size, 1024),
            shuffle=shuffle,
            seed=self.seed,
            sample_ids=rows,
            dtype=dtype,
            targets=targets,
            ids=ids,
        )


def _runs_in_float64(trainer: pl.Trainer | None) -> bool:
    return trainer is not None and str(trainer.precision).startswith("64")
