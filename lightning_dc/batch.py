"""What every loader yields and every method takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_dc.errors import InputError

UNLABELLED = -1
"""The label of a sample whose class is not known."""

TargetKind = Literal["class", "multilabel", "value", "survival"]


@dataclass(frozen=True)
class TargetSpec:
    """What a supervised method learns.

    Args:
        kind: ``class`` (one of C classes), ``multilabel`` (any of T), ``value`` (T numbers) or ``survival`` (a time,
            and whether the event has happened by then).
        names: names of the classes for ``class``, of the columns otherwise.

    Raises:
        InputError: an unknown kind, or names that don't fit it.

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
        """Numbers that a network predicts for a sample: scores of classes or labels, values, or a log hazard."""
        return 1 if self.kind == "survival" else len(self.names)


class Batch(NamedTuple):
    """Samples with their place in the data set.

    Attributes:
        x: inputs, (B, *input_shape), float.
        y: class labels, (B,), int64, ``-1`` where unknown; None without labels. Never used in training by an
            unsupervised method.
        index: place of each sample in its data set, (B,), int64, unique over an epoch.
        n_global: samples in the batch over all processes; None means this process has them all.
        targets: what a supervised method learns; None without. Of a ``class`` target (B,), int64, -1 where missing; of
            the others (B, T), float, NaN where missing: 0 or 1 for ``multilabel``, T values for ``value``, and time and
            event (1) or censoring (0) for ``survival``.
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


@runtime_checkable
class SampleLoader(Protocol):
    """A loader of whole batches that can also be read in index order.

    Attributes:
        n_samples: number of samples in the data set, over all processes.
        sample_ids: the id each sample had in its source, (N,), int64.
    """

    n_samples: int
    sample_ids: Tensor

    def read(self, start: int, stop: int) -> Batch:
        """Samples ``start .. stop - 1`` of the data set, in index order."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


@runtime_checkable
class NamedSamples(Protocol):
    """A loader that knows what the user calls its samples.

    Attributes:
        ids: id of each sample, (N,), integers or strings; None without.
    """

    ids: NDArray[Any] | None


@runtime_checkable
class ScaledSamples(Protocol):
    """A loader that knows the way back from its samples to the data."""

    def unscale(self, x: Tensor) -> Tensor | None:
        """Samples, or means of them, in the unit of the data, float64; None where there is no way back.

        Args:
            x: as the loader gives them, (B, *input_shape).
        """


@runtime_checkable
class DataDescription(Protocol):
    """A DataModule that says what its inputs and targets are.

    Attributes:
        target_spec: what the targets are; None without targets.
        feature_names: name of each input; None where they have none.
        has_terms: the inputs are terms of texts; those heavier in a cluster than in the rest describe it.
        feature_groups: inputs that stand for one thing, such as the one-hot columns of a category, each input in one
            group; None where each input is its own group.
    """

    @property
    def target_spec(self) -> TargetSpec | None: ...

    @property
    def feature_names(self) -> Sequence[str] | None: ...

    @property
    def has_terms(self) -> bool: ...

    @property
    def feature_groups(self) -> Sequence[Sequence[int]] | None: ...


@runtime_checkable
class Preprocessor(Protocol):
    """A DataModule that learns something of its training data that new data need, too.

    A checkpoint of the model keeps what it has learned and hands it to whatever DataModule the model is applied to.
    """

    def preprocessing_state(self) -> dict[str, Any]:
        """What has been learned, in tensors and primitives."""

    def load_preprocessing_state(self, state: dict[str, Any]) -> None:
        """Preprocess as another DataModule has learned to."""


def as_batch(batch: object) -> Batch:
    """Accept what a user's own ``DataLoader`` yields.

    Args:
        batch: a :class:`Batch`, a mapping with keys ``x``, ``index`` and optionally ``y`` and ``targets``, or a
            sequence ``(x, y, index)``.

    Returns:
        The batch, with integer labels and indices.

    Raises:
        InputError: the batch has another form, its parts are no tensors or differ in length, or its labels or
            indices are no integers.

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
