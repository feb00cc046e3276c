"""Checks of the targets of a supervised method."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dc.batch import UNLABELLED, TargetSpec
from lightning_dc.errors import InputError


def check_targets(targets: Tensor, spec: TargetSpec | None, n_samples: int, source: str) -> Tensor:
    """Check targets against their description by the DataModule.

    Args:
        targets: targets of the whole data set, as in :class:`~lightning_dc.batch.Batch`.
        spec: description of the targets; None if the DataModule has none.
        n_samples: number of samples.
        source: name of their source in messages.

    Returns:
        The targets, int64 for classes and floating otherwise.

    Raises:
        InputError: the targets have no description, do not fit it in shape or values, or are all missing.
    """
    if spec is None:
        raise InputError(f"{source} returned targets, but target_spec is None; override the property target_spec")
    name = f"targets of {source}"
    width = {"class": None, "survival": 2}.get(spec.kind, len(spec.names))
    shape = (n_samples,) if width is None else (n_samples, width)
    if tuple(targets.shape) != shape:
        raise InputError(f"{name} have shape {tuple(targets.shape)}; {spec.kind} targets of this data are {shape}")
    if spec.kind == "class":
        if targets.is_floating_point() and not torch.equal(targets, targets.round()):
            raise InputError(f"{name} hold values that are no integers; number the classes from 0, -1 for missing")
        targets = targets.to(torch.int64)
        if int(targets.min()) < UNLABELLED or int(targets.max()) >= len(spec.names):
            raise InputError(
                f"{name} hold classes from {int(targets.min())} to {int(targets.max())}, but there are "
                f"{len(spec.names)} names; number the classes from 0, with -1 for missing"
            )
        known = targets >= 0
    else:
        targets = targets if targets.is_floating_point() else targets.to(torch.float64)
        known = ~targets.isnan()
        values = targets[known]
        if bool(values.isinf().any()):
            raise InputError(f"{name} hold infinite values; give numbers, or NaN for missing")
        if spec.kind == "multilabel" and not bool(((values == 0) | (values == 1)).all()):
            raise InputError(f"{name} hold other values than 0 and 1; multilabel targets are 0, 1, or NaN for missing")
        if spec.kind == "survival":
            _check_survival(targets, name)
    if not bool(known.any()):
        raise InputError(f"{name} are all missing; there is nothing to learn")
    return targets


def _check_survival(targets: Tensor, name: str) -> None:
    time, event = targets[:, 0], targets[:, 1]
    if bool((time < 0).any()):
        raise InputError(f"{name} hold the negative time {float(time[time < 0][0])}; times run from 0")
    known = event[~event.isnan()]
    if not bool(((known == 0) | (known == 1)).all()):
        raise InputError(f"{name} hold other events than 0 (censored) and 1; recode the column")
