"""Base class of all DataModules of this project."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from os import fspath
from typing import Any, get_args

import lightning.pytorch as pl
import torch
from torch import Tensor

from datamodules.description import describe
from datamodules.loading.learn_scaling import learn_scaling
from datamodules.loading.loader import BatchLoader
from datamodules.loading.samples import CheckedSamples, Samples
from datamodules.loading.scaling import Scaling, ScalingName
from datamodules.loading.sparse import SparseRows
from lightning_dc.batch import Batch, Documents, SourceBatches, TargetSpec
from lightning_dc.errors import InputError


class ClusteringDataModule(pl.LightningDataModule, ABC):
    """Base class of DataModules whose samples come in whole batches, on any number of processes.

    A DataModule derives from it and writes :meth:`load` and, if its data are split into a training and a test set,
    :meth:`load_test`. It may override the properties that describe the data. Labels are optional and only ever used to
    evaluate.

    Args:
        batch_size: number of samples in a training batch, over all processes.
        scaling: ``rms`` (the mean of ||x||^2 / d is 1, as in DEC), ``standard`` (each feature has mean 0 and variance
            1), ``columns`` (each column of a table has the same weight, however many one-hot inputs it has), ``unit``
            (||x||^2 / d of each sample is 1, as for embeddings that are compared by their cosine) or ``none``. It is
            learned on the training samples, kept in the checkpoint and applied to all data that the checkpoint is
            applied to. ``standard`` is refused for sparse samples, and ``columns`` for DataModules without
            ``feature_groups``.
        val_fraction: share of the training samples that is held out for validation.
        keep_on_device: hold the samples on the accelerator. This is refused for sparse samples and samples in a file,
            which stay where they are.

    Attributes:
        even_batches: whether training batches have nearly the same size, close to ``batch_size``; otherwise the last
            one of an epoch holds what is left. Methods that need it set it.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
    ) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # with few evaluation batches
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
        self.even_batches = False
        self.seed = torch.initial_seed()
        self._train: CheckedSamples | None = None
        self._test: CheckedSamples | None = None
        self._scaling: Scaling | None = None

    # ---- what a subclass overrides ---------------------------------------------------------------------------------

    @abstractmethod
    def load(self) -> Samples:
        """Return all samples, or those of the training set if :meth:`load_test` returns those of a test set."""

    def load_test(self) -> Samples | None:
        """Return the samples of the test set; None if there is none."""
        return None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample; the samples are loaded to find it, unless a subclass knows it without them."""
        return tuple(self.training_samples().x.shape[1:])

    @property
    def target_spec(self) -> TargetSpec | None:
        """Description of the targets; None without targets."""
        return None

    @property
    def feature_names(self) -> Sequence[str] | None:
        """Name of each input; None if they have none."""
        return None

    @property
    def has_terms(self) -> bool:
        """True if the inputs are terms of texts.

        The closing table then lists the terms of each cluster that have more weight in it than in the rest.
        """
        return False

    @property
    def feature_groups(self) -> Sequence[Sequence[int]] | None:
        """Inputs that belong together, such as the one-hot inputs of a category; None if each is a group by itself."""
        return None

    @property
    def documents(self) -> Documents | None:
        """Texts of the samples, by which clusters are described; None without texts."""
        return None

    @property
    def source_batches(self) -> SourceBatches | None:
        """Batches of measurements, with which the clusters are compared; None without."""
        return None

    @property
    def source_files(self) -> Mapping[str, Any]:
        """Files and folders that the training samples come from, by the names of their arguments.

        Messages about the samples name them.
        """
        return {}

    def __repr__(self) -> str:
        """Return the class, its arguments and the shape of the samples if they are loaded; nothing is loaded for it."""
        return describe(self)

    def __str__(self) -> str:  # Lightning's makes all loaders, and fails
        return describe(self)

    # ---- what a subclass calls -------------------------------------------------------------------------------------

    def training_rows(self, n_samples: int) -> Tensor | None:
        """Return the rows of :meth:`load` that are trained on, (n,), int64, ascending; None for all.

        It is for a :meth:`load` that learns something from its samples, such as a vocabulary.

        Args:
            n_samples: number of samples that :meth:`load` returns.

        Raises:
            InputError: ``val_fraction`` leaves no rows to train on.
        """
        if self.val_fraction == 0:
            return None
        return self._order(n_samples)[self._n_held_out(n_samples) :].sort().values

    def training_samples(self) -> CheckedSamples:
        """Return all samples of :meth:`load`, which are loaded and checked once and then kept.

        Raises:
            InputError: the samples are not what they must be.
        """
        if self._train is None:
            self._train = CheckedSamples.of(self.load(), self.target_spec, self._samples_name())
        return self._train

    @property
    def can_standardise(self) -> bool:
        """Whether ``scaling='standard'`` would give inputs the same weight that this scaling does not, and can do so.

        It cannot for sparse samples. Samples that have not been read count as sparse.
        """
        is_dense = self._train is not None and not isinstance(self._train.x, SparseRows)
        return self.scaling_name in ("rms", "none") and is_dense

    def forget_samples(self) -> None:
        """Forget the samples that are kept, so that they are loaded again when they are needed."""
        self._train = self._test = None

    # ---- Lightning's hooks -----------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        if self.trainer is not None:
            self.seed = self.trainer.strategy.broadcast(self.seed)
        if stage == "fit":  # otherwise a checkpoint that is restored later may say how to preprocess
            self.training_samples()
            self._test_samples()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        is_training = self.trainer is not None and self.trainer.training
        # Labels only ever evaluate, so in training they need not be moved.
        return batch._replace(y=None) if is_training and isinstance(batch, Batch) else batch

    def train_dataloader(self) -> BatchLoader:
        samples = self.training_samples()
        return self._loader(samples, self.training_rows(len(samples.x)), shuffle=True)

    def val_dataloader(self) -> BatchLoader | list[Any]:
        """Return a loader of the held-out samples, or of the test set if none are held out.

        If there is neither, it is a loader of the whole data set, except during a fit: there a callback evaluates the
        training set at each refresh, so that a second pass would add nothing, and the list is empty.
        """
        samples = self.training_samples()
        if self.val_fraction > 0:
            return self._loader(samples, self._held_out_rows(), shuffle=False)
        test = self._test_samples()
        if test is not None:
            return self._loader(test, None, shuffle=False)
        fitting = self.trainer is not None and self.trainer.state.fn == "fit"
        if not fitting:
            return self._loader(samples, None, shuffle=False)
        # Lightning takes an empty list for no validation, but warns all the same.
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        return []

    def test_dataloader(self) -> BatchLoader:
        """Return a loader of the test set, or of the whole data set if there is none."""
        return self._loader(self._test_samples() or self.training_samples(), None, shuffle=False)

    def predict_dataloader(self) -> BatchLoader:
        """Return a loader of all samples of :meth:`load`, in its order, followed by those of :meth:`load_test`."""
        samples, test = self.training_samples(), self._test_samples()
        if test is not None:
            samples = CheckedSamples.join(samples, test)
        return self._loader(samples, None, shuffle=False)

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed}  # of the order of batches and of the split

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seed = state_dict["seed"]

    def preprocessing_state(self) -> dict[str, Any]:
        """Return the scaling for a checkpoint of the model."""
        return {} if self._scaling is None else {"scaling": self._scaling.state_dict()}

    def load_preprocessing_state(self, state: dict[str, Any]) -> None:
        """Scale as another DataModule has learned to; the argument ``scaling`` of this one no longer counts.

        Raises:
            InputError: the samples were made in a way that this DataModule does not know, such as TF-IDF, or the
                scaling belongs to samples of another shape.
        """
        foreign = sorted(state.keys() - {"scaling"})
        if foreign:  # a subclass removes its own part before
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

    # ---- private ---------------------------------------------------------------------------------------------------

    def _samples_name(self) -> str:
        """Return the name of the training samples in messages."""
        files = ", ".join(f"{argument}={fspath(path)!r}" for argument, path in self.source_files.items())
        return f"{type(self).__name__}({files})" if files else f"{type(self).__name__}.load()"

    def _test_samples(self) -> CheckedSamples | None:
        """Return the samples of ``load_test``, which are loaded and checked once and then kept."""
        if self._test is None:
            test = self.load_test()
            name = f"{type(self).__name__}.load_test()"
            self._test = None if test is None else CheckedSamples.of(test, self.target_spec, name)
            if self._test is not None and self._test.x.shape[1:] != self.training_samples().x.shape[1:]:
                raise InputError(
                    f"{type(self).__name__}.load_test() returned samples of shape {tuple(self._test.x.shape[1:])}, but "
                    f"load() those of shape {tuple(self.training_samples().x.shape[1:])}"
                )
        return self._test

    def _order(self, n_samples: int) -> Tensor:
        """Return the random order of the rows whose first part is held out."""
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
        n_samples = len(self.training_samples().x)
        return self._order(n_samples)[: self._n_held_out(n_samples)].sort().values

    def _learned_scaling(self) -> Scaling:
        """Return the scaling, which is learned on the training samples unless a checkpoint has handed one over."""
        if self._scaling is None:
            samples = self.training_samples().x
            rows = self.training_rows(len(samples))
            try:
                training = samples if rows is None else samples.subset(rows)
                self._scaling = learn_scaling(self.scaling_name, training, self.feature_groups)
            except InputError as error:
                raise InputError(f"{self._samples_name()}: {error}") from error
        return self._scaling

    def _loader(self, samples: CheckedSamples, rows: Tensor | None, *, shuffle: bool) -> BatchLoader:
        """Return a loader of some rows of samples, or of all of them if the rows are None."""
        scaling = self._learned_scaling()
        samples = samples if rows is None else samples.subset(rows)
        if self.keep_on_device:
            device = samples.x.device if self.trainer is None else self.trainer.strategy.root_device
            samples = samples.to(device)
        x, y, targets, ids = samples
        return BatchLoader(
            x,
            y,
            scaling=scaling,
            batch_size=self._training_batch_size(len(x)) if shuffle else max(self.batch_size, 1024),
            shuffle=shuffle,
            seed=self.seed,
            repeat=getattr(self.trainer, "overfit_batches", 0) > 0,
            source_rows=rows,
            dtype=torch.float64 if x.dtype == torch.float64 and _runs_in_float64(self.trainer) else torch.float32,
            targets=targets,
            ids=ids,
        )

    def _training_batch_size(self, n_samples: int) -> int:
        """Return the size of training batches: if they are to be even, one whose last batch lacks few samples."""
        if not self.even_batches:
            return self.batch_size
        near = range(max(1, self.batch_size * 9 // 10), self.batch_size * 11 // 10 + 1)
        few = -(-n_samples // max(1, round(n_samples / self.batch_size)))
        sizes: list[int] = [*near, few]
        return min(sizes, key=lambda size: (-n_samples % size / size, abs(size - self.batch_size)))


def _runs_in_float64(trainer: pl.Trainer | None) -> bool:
    return trainer is not None and str(trainer.precision).startswith("64")
