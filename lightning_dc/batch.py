"""Types that DataModules and methods share: batches, loaders of samples, and descriptions of the data.

Three words are kept apart throughout: the *index* of a sample is its place in its data set, from 0 to N - 1; its
*source row* is its row in the source that the data set was taken from; its *id* is the name that the user gave it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

UNLABELLED = -1
"""The label of a sample whose class is not known."""

TargetKind = Literal["class", "multilabel", "value", "survival"]


@dataclass(frozen=True)
class TargetSpec:
    """Description of the targets that a supervised method learns.

    Args:
        kind: ``class`` (one of C classes), ``multilabel`` (any of T), ``value`` (T numbers) or ``survival`` (a time,
            and whether the event has happened by then).
        names: names of the classes if the kind is ``class``, otherwise names of the columns.

    Raises:
        InputError: the kind is unknown, or the number of names does not fit it.

    Example:
        >>> TargetSpec("survival", ("time", "event")).n_outputs
        1
    """

    kind: TargetKind
    names: Sequence[str]

    def __post_init__(self) -> None:
        if self.kind not in get_args(TargetKind):
            raise InputError(
                f"kind={self.kind!r} of a target is unknown; choose from {', '.join(get_args(TargetKind))}"
            )
        least, most = {"class": (2, None), "survival": (2, 2)}.get(self.kind, (1, None))
        if len(self.names) < least or (most is not None and len(self.names) > most):
            wanted = "a time and an event" if most == 2 else f"at least {least}"
            raise InputError(f"names={list(self.names)} of a {self.kind} target must be {wanted}")

    @property
    def n_outputs(self) -> int:
        """Number of outputs of a network for a sample: scores of classes or labels, values, or a log hazard."""
        return 1 if self.kind == "survival" else len(self.names)


class Batch(NamedTuple):
    """Samples, each with its index.

    Attributes:
        x: inputs, (B, *input_shape), float.
        y: class labels, (B,), int64, ``-1`` where unknown; None if there are no labels. An unsupervised method never
            uses them in training.
        index: index of each sample, that is its place in its data set, (B,), int64. In an epoch no index comes twice.
        n_global: number of samples in the batch over all processes; None means that this process has them all.
        targets: targets of a supervised method; None if there are none. Of a ``class`` target (B,), int64, -1 where
            missing; of the others (B, T), float, NaN where missing: 0 or 1 for ``multilabel``, T values for ``value``,
            and for ``survival`` the time and 1 for an event or 0 for censoring.
    """

    x: Tensor
    y: Tensor | None
    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    n_global: int | None = None
    targets: Tensor | None = None

    @property
    def size(self) -> int:
        """Number of samples in the batch over all processes."""
        return len(self.index) if self.n_global is None else self.n_global

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device. Lightning calls this method to move batches.

        Copies to a GPU come from page-locked memory, so that the GPU need not be idle before they begin.
        """
        x, y, index, targets = (_moved(part, device) for part in (self.x, self.y, self.index, self.targets))
        assert x is not None
        assert index is not None
        return Batch(x, y, index, self.n_global, targets)


def _moved(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    if tensor is None or tensor.device == device:
        return tensor
    from_pages = device.type == "cuda" and tensor.device.type == "cpu"
    return (tensor.pin_memory() if from_pages else tensor).to(device, non_blocking=from_pages)


@runtime_checkable
class SampleLoader(Protocol):
    """A loader of whole batches whose samples can also be read by their index.

    Attributes:
        n_samples: number of samples N in the data set, over all processes.
        source_rows: source row of each sample, that is its row in the source, (N,), int64.
        ids: id of each sample, that is the user's name for it, (N,), integers or strings; None if it has none.
    """

    n_samples: int
    source_rows: Tensor
    ids: NDArray[Any] | None

    def read(self, start: int, stop: int) -> Batch:
        """Return the samples with index ``start`` to ``stop - 1``, in the order of their index."""

    def take(self, index: Tensor) -> Batch:
        """Return the samples of these indices, in the order of ``index``.

        Args:
            index: indices, (n,), int64, in any order; an index may come more than once. It may be empty.

        Returns:
            A batch with this ``index``, of the same values as :meth:`read` returns.

        Raises:
            InputError: an index does not lie between 0 and N - 1.
        """

    def unscale(self, x: Tensor) -> Tensor | None:
        """Return samples, or means of samples, in the unit of the data, float64; None where that is not possible.

        Args:
            x: samples as the loader returns them, (B, *input_shape).
        """

    def __iter__(self) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


class Documents(Protocol):
    """Texts of the samples, whether or not they are the inputs.

    Attributes:
        texts: text of each row of the source, (N,).
    """

    texts: Sequence[str]

    def weigh_terms(self, rows: NDArray[Any]) -> tuple[csr_matrix[Any], Sequence[str]]:
        """Return the weight of each term in some of the texts, (n, F), and the terms, (F,).

        Args:
            rows: rows of the source, (n,), int64.
        """


@dataclass(frozen=True, eq=False)
class SourceBatches:
    """Batches of measurements, such as runs of a machine or donors, that clusters should not follow.

    Args:
        name: what a batch is, such as the name of a column.
        codes: number of the batch of each row of the source, (N,), int64; -1 where it is not known.
    """

    name: str
    codes: NDArray[Any]


@dataclass(frozen=True)
class DataDescription:
    """Description of the inputs and targets of a DataModule.

    Args:
        target_spec: description of the targets; None without targets.
        feature_names: name of each input; None if they have none.
        has_terms: the inputs are terms of texts, so a cluster is described by the terms that have more weight in it
            than in the rest.
        feature_groups: inputs that belong together, such as the one-hot inputs of a category; each input is in one
            group. None if each input is a group by itself.
        documents: texts of the samples, by which clusters are described; None without texts.
        source_batches: batches of measurements, with which the clusters are compared; None without.

    Example:
        >>> DataDescription.of(None).feature_names is None
        True
    """

    target_spec: TargetSpec | None = None
    feature_names: Sequence[str] | None = None
    has_terms: bool = False
    feature_groups: Sequence[Sequence[int]] | None = None
    documents: Documents | None = None
    source_batches: SourceBatches | None = None

    @classmethod
    def of(cls, data: object) -> DataDescription:
        """Describe any object by those of these attributes that it has; the others keep their defaults.

        Args:
            data: a DataModule, which may be one of the user's own with none of the attributes, or None.
        """
        described: dict[str, Any] = {field.name: getattr(data, field.name, field.default) for field in fields(cls)}
        return cls(**described)


@runtime_checkable
class Preprocessor(Protocol):
    """A DataModule that learns from its training data how all data have to be preprocessed.

    A checkpoint of the model keeps what was learned and hands it to each DataModule that the model is applied to.
    """

    def preprocessing_state(self) -> dict[str, Any]:
        """Return what was learned as tensors and Python primitives."""

    def load_preprocessing_state(self, state: dict[str, Any]) -> None:
        """Take over what another DataModule has learned, and preprocess in the same way."""


class Assigned(Protocol):
    """Clusters of the training samples, such as ``model.final`` after a fit."""

    @property
    def labels(self) -> Tensor:
        """Cluster of each training sample, (n,)."""

    @property
    def q(self) -> Tensor | None:
        """Soft assignments, (n, K), in which a hard head has one 1 in each row; None if they were not kept."""

    @property
    def z(self) -> Tensor | None:
        """Embeddings, (n, D); None if they were not kept."""

    @property
    def is_soft(self) -> bool:
        """Whether assignments are probabilities; those of a hard head have no confidence."""


@runtime_checkable
class Annotatable(Protocol):
    """A DataModule that can write a copy of its source with the clusters in it."""

    def annotated_endings(self) -> Sequence[str]:
        """Return the endings that the copy may have; none if this source has no copy."""

    def write_annotated(self, path: Path, ending: str, final: Assigned) -> None:
        """Write the copy.

        Args:
            path: file to write, which is no file of the user.
            ending: one of :meth:`annotated_endings`.
            final: clusters of the training samples, in their order.
        """


def as_batch(batch: object) -> Batch:
    """Convert a batch of a user's own ``DataLoader`` to a :class:`Batch`.

    Args:
        batch: a :class:`Batch`, a mapping with keys ``x``, ``index`` and optionally ``y`` and ``targets``, or a
            sequence ``(x, y, index)``.

    Returns:
        The batch, with integer labels and indices.

    Raises:
        InputError: the batch has another form, its parts are not tensors or differ in length, or its labels or
            indices are not integers.

    Example:
        >>> as_batch({"x": torch.zeros(2, 3), "index": torch.tensor([4, 7])}).size
        2
    """
    if not isinstance(batch, Batch):
        if isinstance(batch, Mapping) and {"x", "index"} <= batch.keys():
            batch = Batch(batch["x"], batch.get("y"), batch["index"], targets=batch.get("targets"))
        elif isinstance(batch, (tuple, list)) and len(batch) == 3:
            batch = Batch(*batch)
        else:
            raise InputError(
                f"a training batch must hold each sample's index, got {type(batch).__name__}; yield a "
                "lightning_dc.Batch, (x, y, index) or {'x': ..., 'index': ...}"
            )
    for name, part in (("x", batch.x), ("y", batch.y), ("index", batch.index), ("targets", batch.targets)):
        if not isinstance(part, Tensor) and not (name in ("y", "targets") and part is None):
            raise InputError(f"{name} of a batch must be a tensor, got {type(part).__name__}; convert it in the loader")
        if name in ("y", "index") and part is not None and (part.ndim != 1 or part.is_floating_point()):
            raise InputError(
                f"{name} of a batch must hold one integer a sample, got {part.dtype} of shape {tuple(part.shape)}"
            )
    if len(batch.x) != len(batch.index) or (batch.y is not None and len(batch.y) != len(batch.index)):
        n_labels = None if batch.y is None else len(batch.y)
        raise InputError(
            f"x, y and index of a batch differ in length ({len(batch.x)}, {n_labels}, {len(batch.index)}); "
            "yield one label and one index a sample"
        )
    if batch.targets is not None and (batch.targets.ndim not in (1, 2) or len(batch.targets) != len(batch.index)):
        raise InputError(
            f"targets of a batch of {len(batch.index)} samples have shape {tuple(batch.targets.shape)}; yield one "
            "class, or one row of targets, a sample"
        )
    y = None if batch.y is None else batch.y.to(torch.int64)
    return batch._replace(y=y, index=batch.index.to(torch.int64))


def checked_index(index: Tensor, n_samples: int) -> Tensor:
    """Return indices of samples after a check that a data set has them.

    Args:
        index: indices, (n,), integers.
        n_samples: number of samples N of the data set.

    Returns:
        The indices, int64.

    Raises:
        InputError: an index does not lie between 0 and N - 1, or they are not integers in one dimension.
    """
    if index.ndim != 1 or index.dtype == torch.bool or index.is_floating_point():
        raise InputError(f"index must hold integers, (n,), got {index.dtype} of shape {tuple(index.shape)}")
    outside = (index < 0) | (index >= n_samples)
    if bool(outside.any()):
        raise InputError(
            f"index {int(index[outside][0])} is out of range: the data set has N = {n_samples} samples; give indices "
            f"from 0 to {n_samples - 1}"
        )
    return index.to(torch.int64)
