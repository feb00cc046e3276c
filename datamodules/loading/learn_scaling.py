"""Learning of a scaling from training samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from datamodules.loading.rows import Rows
from datamodules.loading.scaling import Scaling, ScalingName
from datamodules.loading.sparse import SparseRows
from lightning_dc.errors import InputError

ONE_HOT_VARIANCE = 0.5
"""Sum of the variances of the one-hot inputs of a column, where a numeric column has variance 1."""

_CHUNK_SPARSE_ROWS = 256  # made dense at a time, for a comparison
_ALL_THE_SAME = "every feature of x is constant, so all samples are the same; check how x is read"


def learn_scaling(name: ScalingName, x: Rows, groups: Sequence[Sequence[int]] | None = None) -> Scaling:
    """Learn a scaling from training samples, in one pass that never holds more than a chunk of them in float64.

    Args:
        name: ``rms`` multiplies all features by one number so that the mean of ||x||^2 / d is 1 (DEC, section 5);
            ``standard`` gives each feature mean 0 and variance 1; ``columns`` gives each feature mean 0, a group of one
            feature variance 1, and the features of a larger group, which are one-hot, one common factor with which
            their variances add up to 0.5; ``unit`` makes ||x||^2 / d of each sample 1, so
            that distances are those of cosines (a sample of zeros stays as it is); ``none`` leaves the samples as they
            are.
        x: samples, all values finite.
        groups: features that belong together, each feature in one group; only ``columns`` needs them.

    Raises:
        InputError: all samples are the same, or their squares exceed float64; or, with ``standard`` and ``columns``, a
            feature is constant, or the samples are sparse, since their zeros would become other numbers; or there are
            no groups for ``columns``.

    Example:
        >>> from datamodules.loading.tensor_rows import TensorRows
        >>> learn_scaling("rms", TensorRows(torch.tensor([[3.0, 4.0], [0.0, 5.0]])))(torch.tensor([5.0]) * 2**-0.5)
        tensor([1.])
    """
    if name == "columns" and groups is None:
        raise InputError(
            "scaling='columns' needs to know which inputs belong to which column, as those of a table do; use "
            "scaling='standard' or 'rms'"
        )
    scaling = _learn_sparse(name, x) if isinstance(x, SparseRows) else _learn_dense(name, x, groups)
    learned = torch.stack([scaling.factor.isfinite().all(), (scaling.factor > 0).all(), scaling.shift.isfinite().all()])
    if not learned.all():
        raise InputError("the squares of some values of x exceed float64, or are 0 in it; check how x is read")
    return scaling


def _learn_dense(name: ScalingName, x: Rows, groups: Sequence[Sequence[int]] | None) -> Scaling:
    origin = x[:1][0].double()  # sums start from a sample, so that features far from 0 suffer no cancellation
    total = torch.zeros(x.shape[1:], dtype=torch.float64)
    deviations = torch.zeros(x.shape[1:], dtype=torch.float64)
    squares = torch.zeros(x.shape[1:], dtype=torch.float64)
    for _, chunk in x.chunks():
        wide = chunk.double()
        squares += wide.square().sum(0)
        wide = wide - origin
        total += wide.sum(0)
        deviations += wide.square().sum(0)
    mean = origin + total / len(x)
    variance = (deviations / len(x) - (total / len(x)).square()).clamp_min(0.0)
    constant = variance <= 1e-12 * (deviations / len(x))
    if constant.all():
        raise InputError(_ALL_THE_SAME)
    if name in ("none", "unit"):
        return _unlearned(name)
    if name == "rms":
        return Scaling(torch.zeros(()), (squares.sum() / len(x) / squares.numel()).rsqrt())
    if constant.any():
        raise InputError(
            f"{int(constant.sum())} features of x are constant (the first is number "
            f"{int(constant.flatten().int().argmax())}), so scaling={name!r} would divide by 0; drop them or use "
            "scaling='rms'"
        )
    if name == "columns" and groups is not None:
        return Scaling(mean, _group_factors(variance, groups))
    return Scaling(mean, variance.rsqrt())


def _group_factors(variance: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Return one factor a feature, (F,), that is the same for all features of a group.

    A factor of its own for each one-hot input, as with ``standard``, would give the rarest category the most weight.
    """
    sizes = torch.tensor([len(group) for group in groups])
    members = torch.tensor([j for group in groups for j in group])
    group_of = torch.repeat_interleave(torch.arange(len(groups)), sizes)
    total = torch.zeros(len(groups), dtype=variance.dtype).index_add_(0, group_of, variance[members])
    share = torch.where(sizes == 1, 1.0, ONE_HOT_VARIANCE)
    factors = torch.empty_like(variance)
    factors[members] = (share / total).sqrt()[group_of]
    return factors


def _learn_sparse(name: ScalingName, x: SparseRows) -> Scaling:
    if name in ("standard", "columns"):
        raise InputError(
            f"scaling={name!r} would make numbers of all zeros of sparse samples; use scaling='rms' or 'none', or "
            "give a dense array"
        )
    first = x[:1]
    starts = range(0, len(x), _CHUNK_SPARSE_ROWS)
    if all(bool((x[start : start + _CHUNK_SPARSE_ROWS] == first).all()) for start in starts):  # usually ends at once
        raise InputError(_ALL_THE_SAME)
    if name in ("none", "unit"):
        return _unlearned(name)
    squares = torch.zeros((), dtype=torch.float64)
    for _, values in x.values():
        squares += values.double().square().sum()
    return Scaling(torch.zeros(()), (squares / len(x) / x.shape[1]).rsqrt())


def _unlearned(name: ScalingName) -> Scaling:
    return Scaling(torch.zeros(()), torch.ones(()), unit=name == "unit")
