"""Samples as a user gives them, and samples that have been checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.loading.file_rows import FileRows
from datamodules.loading.ids import check_ids
from datamodules.loading.rows import Rows, check_finite
from datamodules.loading.sparse import SparseRows, is_sparse, torch_dtype
from datamodules.loading.targets import check_targets
from datamodules.loading.tensor_rows import TensorRows
from lightning_dc.batch import UNLABELLED, TargetSpec
from lightning_dc.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array, csr_matrix

Array = NDArray[Any] | Tensor
_MOST_CLASSES = 10_000  # a larger label is taken for an id, unless there are more samples than that


class Samples(NamedTuple):
    """Data as a user has them.

    Attributes:
        x: samples, (N, *input_shape), numbers. A scipy sparse matrix, (N, F), stays sparse; only a batch is dense. A
            :class:`~datamodules.FileRows` stays in its file.
        y: class of each sample, (N,), integers, -1 where unknown; None without labels. They serve evaluation only.
        targets: targets of a supervised method, as in :class:`~lightning_dc.batch.Batch` and as ``target_spec``
            describes them; None without. If they are classes and there are no labels, they are the labels as well.
        ids: id of each sample, that is the user's name for it, (N,), integers or strings, each only once; None without.
            Ids are written beside the clusters.
    """

    x: Array | csr_array[Any] | csr_matrix[Any] | FileRows
    y: Array | None = None
    targets: Array | None = None
    ids: Sequence[int] | Sequence[str] | NDArray[Any] | None = None


class CheckedSamples(NamedTuple):
    """Samples that have been checked.

    Attributes:
        x: the samples, in the form in which they are stored.
        y: class of each sample, (N,), int64, -1 where unknown; None without labels.
        targets: targets of a supervised method, as in :class:`~lightning_dc.batch.Batch`; None without.
        ids: id of each sample, (N,), integers or strings; None without.
    """

    x: Rows
    y: Tensor | None
    targets: Tensor | None
    ids: NDArray[Any] | None

    @classmethod
    def of(cls, samples: Samples, spec: TargetSpec | None, source: str) -> CheckedSamples:
        """Check the samples that a user gives.

        Args:
            samples: the samples.
            spec: description of their targets; None without targets.
            source: name of their source in messages.

        Raises:
            InputError: a part has another type, shape or value than it must have.
        """
        if not isinstance(samples, Samples):
            raise InputError(f"{source} returned {type(samples).__name__}; return datamodules.Samples(x, y)")
        named = f"x of {source}"
        x = _as_rows(samples.x, named)
        if x.ndim < 2 or len(x) == 0:
            raise InputError(f"{named} has shape {tuple(x.shape)}; give (samples, features), at least one sample")
        check_finite(x, named)
        targets = None
        if samples.targets is not None:
            targets = check_targets(_as_tensor(samples.targets, f"targets of {source}"), spec, len(x), source)
        ids = None if samples.ids is None else check_ids(samples.ids, len(x), source)
        if samples.y is None:
            return cls(x, targets if spec is not None and spec.kind == "class" else None, targets, ids)
        return cls(x, cls._labels(samples.y, x, source), targets, ids)

    @staticmethod
    def _labels(labels: Array, x: Rows, source: str) -> Tensor:
        y = _as_tensor(labels, f"y of {source}")
        if y.shape != x.shape[:1]:
            raise InputError(
                f"y of {source} has shape {tuple(y.shape)}, but x has {len(x)} samples; give one label each"
            )
        if y.dtype.is_floating_point and not torch.equal(y, y.round()):
            raise InputError(f"y of {source} holds {y.dtype} values that are no integers; number the classes from 0")
        y = y.to(torch.int64)
        if int(y.min()) < UNLABELLED:
            raise InputError(f"y of {source} holds {int(y.min())}; number the classes from 0, with -1 for unknown")
        if int(y.max()) >= max(len(x), _MOST_CLASSES):
            raise InputError(f"y of {source} holds {int(y.max())}, which is no class; number the classes from 0")
        return y

    @classmethod
    def join(cls, first: CheckedSamples, second: CheckedSamples) -> CheckedSamples:
        """Return the first samples followed by the second ones; a part that only one of them has is left out.

        Raises:
            InputError: only one of them is sparse.
        """
        columns = ((first.y, second.y), (first.targets, second.targets))
        y, targets = (None if a is None or b is None else torch.cat([a, b]) for a, b in columns)
        ids = None if first.ids is None or second.ids is None else np.concatenate([first.ids, second.ids])
        if isinstance(first.x, SparseRows) and isinstance(second.x, SparseRows):
            return cls(first.x.join(second.x), y, targets, ids)
        if not isinstance(first.x, SparseRows) and not isinstance(second.x, SparseRows):  # files are read as a whole
            return cls(TensorRows(torch.cat([first.x[:], second.x[:]])), y, targets, ids)
        raise InputError("one of load() and load_test() returned sparse samples, the other dense ones; give one kind")

    def subset(self, rows: Tensor) -> CheckedSamples:
        """Return the samples of these rows, (n,), int64, ascending."""
        y, targets = (None if column is None else column[rows] for column in (self.y, self.targets))
        return CheckedSamples(self.x.subset(rows), y, targets, None if self.ids is None else self.ids[rows.numpy()])

    def to(self, device: torch.device) -> CheckedSamples:
        """Return the samples with their labels and targets on a device.

        Raises:
            InputError: the samples are sparse or in a file.
        """
        y, targets = (None if column is None else column.to(device) for column in (self.y, self.targets))
        return self._replace(x=self.x.to(device), y=y, targets=targets)


def _as_rows(x: Any, name: str) -> Rows:
    if isinstance(x, Rows):
        return x
    return SparseRows.of(x, name) if is_sparse(x) else TensorRows(_as_tensor(x, name))


def _as_tensor(array: Any, name: str) -> Tensor:
    if isinstance(array, Tensor):
        if array.layout != torch.strided:
            raise InputError(f"{name} is a sparse tensor ({array.layout}); give a scipy CSR matrix, or a dense one")
        if array.is_complex():
            raise InputError(f"{name} has dtype {array.dtype}; give numbers")
        return array.detach().cpu()
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} has dtype {array.dtype}; give numbers")
    array = array.astype(torch_dtype(array.dtype), copy=False)
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))
