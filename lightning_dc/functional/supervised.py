"""Losses of a supervised task, one value for each sample; a missing target has the loss 0 and no gradient."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lightning_dc.batch import UNLABELLED, TargetKind
from lightning_dc.errors import InputError
from lightning_dc.functional.cox import Ties, cox_loss


def known_targets(targets: Tensor, kind: TargetKind) -> Tensor:
    """Return which samples have a target, (B,), bool: a class, at least one label or value, or both time and event.

    Args:
        targets: targets as in :class:`~lightning_dc.batch.Batch`.
        kind: kind of the targets.

    Example:
        >>> known_targets(torch.tensor([[1.0, float("nan")], [float("nan"), float("nan")]]), "value")
        tensor([ True, False])
    """
    if kind == "class":
        return targets != UNLABELLED
    known = ~targets.isnan()
    return known.all(1) if kind == "survival" else known.any(1)


def class_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each sample in nats, (B,).

    Args:
        logits: scores of the classes, (B, C).
        targets: classes, (B,), int64, -1 where missing.

    Example:
        >>> class_loss(torch.zeros(2, 4), torch.tensor([3, -1]))
        tensor([1.3863, 0.0000])
    """
    return functional.cross_entropy(logits, targets, reduction="none", ignore_index=UNLABELLED)


def multilabel_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the binary cross-entropy of each sample in nats, averaged over its known labels, (B,).

    Args:
        logits: scores of the labels, (B, T).
        targets: 0 or 1, (B, T), NaN where missing.

    Example:
        >>> multilabel_loss(torch.zeros(1, 2), torch.tensor([[1.0, float("nan")]]))
        tensor([0.6931])
    """
    known, filled = _known_and_filled(targets, logits)
    return _mean_of_known(functional.binary_cross_entropy_with_logits(logits, filled, reduction="none"), known)


def value_loss(values: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each sample, averaged over its known values, (B,).

    Args:
        values: predictions, (B, T).
        targets: values, (B, T), NaN where missing.

    Example:
        >>> value_loss(torch.zeros(1, 2), torch.tensor([[3.0, float("nan")]]))
        tensor([9.])
    """
    known, filled = _known_and_filled(targets, values)
    return _mean_of_known((values - filled).square(), known)


def supervised_losses(output: Tensor, targets: Tensor, kind: TargetKind, ties: Ties = "efron") -> Tensor:
    """Return the loss of each sample, (B,), for a kind of targets.

    Args:
        output: scores of classes, (B, C), scores of labels, (B, T), values, (B, T), or log risks, (B, 1).
        targets: targets as in :class:`~lightning_dc.batch.Batch`.
        kind: kind of the targets.
        ties: treatment of events at the same time, for the kind ``survival``.
    """
    if kind == "survival":
        return cox_loss(output.squeeze(1), targets[:, 0], targets[:, 1], ties)
    return _LOSSES[kind](output, targets)


def null_residuals(targets: Tensor, kind: TargetKind, ties: Ties = "efron") -> Tensor:
    """Return the residuals of a model without inputs, (N, T), float64.

    Residuals are the negative gradient of the loss at equal outputs, centred over the known samples: class indicators
    minus their shares, labels or values minus their mean, and the martingale residuals of survival times. Each column
    is scaled to the mean square 1. Residuals of missing targets are 0, as is a column that is the same for all known
    samples.

    Args:
        targets: targets of the whole data set, as in :class:`~lightning_dc.batch.Batch`.
        kind: kind of the targets.
        ties: treatment of events at the same time, for the kind ``survival``.
    """
    n_outputs = int(targets.max()) + 1 if kind == "class" else 1 if kind == "survival" else targets.shape[1]
    with torch.enable_grad():
        output = torch.zeros(len(targets), n_outputs, dtype=torch.float64, device=targets.device, requires_grad=True)
        losses = supervised_losses(output, targets if kind == "class" else targets.double(), kind, ties)
        (gradient,) = torch.autograd.grad(losses.sum(), output)
    if kind in ("multilabel", "value"):
        known = ~targets.isnan()
        gradient = gradient * known.sum(1, keepdim=True)  # the loss is a mean over the known columns of a sample
    else:
        known = known_targets(targets, kind)[:, None]
    n_known = known.sum(0).clamp_min(1)
    mean = torch.where(known, -gradient, 0.0).sum(0) / n_known
    residuals = torch.where(known, -gradient - mean, 0.0)
    scale = (residuals.square().sum(0) / n_known).sqrt()
    return residuals * torch.where(scale > 1e-12, 1.0 / scale.clamp_min(1e-12), 0.0)


def _known_and_filled(targets: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """Return a mask of known targets, and the targets with 0 for NaN, whose gradient a mask could not remove."""
    if targets.shape != output.shape:
        raise InputError(
            f"targets have shape {tuple(targets.shape)}, but the output of the task {tuple(output.shape)}; give the "
            "head as many outputs as there are targets"
        )
    known = ~targets.isnan()
    return known, torch.where(known, targets, 0.0).to(output.dtype)


def _mean_of_known(losses: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, losses, 0.0).sum(1) / known.sum(1).clamp_min(1)


_LOSSES = {"class": class_loss, "multilabel": multilabel_loss, "value": value_loss}
