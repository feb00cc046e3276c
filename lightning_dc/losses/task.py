"""The loss of a supervised task."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from lightning_dc.batch import TargetKind
from lightning_dc.distributed import gather_batch, own_of_batch, sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import Ties, known_targets, supervised_losses
from lightning_dc.losses.term import LossTerm


class TaskLoss(LossTerm):
    """Cross-entropy, binary cross-entropy, squared error or Cox's partial likelihood, by the kind of the targets.

    Samples without a target are ignored: the mean over the batch is the mean over the samples with a target (for
    survival, over the events, as in DeepSurv), whatever the share of missing ones. Numbers of targets and risk sets are
    those of the global batch, so the loss and its gradient do not depend on the number of processes. A batch without a
    target, or without an event, has the loss 0 and no gradient.

    Args:
        kind: kind of the targets: ``class``, ``multilabel``, ``value`` or ``survival``.
        ties: treatment of events at the same time: ``efron`` or ``breslow``.

    Raises:
        InputError: the kind or the treatment of ties is unknown.
    """

    def __init__(self, kind: TargetKind, ties: Ties = "efron") -> None:
        super().__init__()
        for name, value, choice in (("kind", kind, get_args(TargetKind)), ("ties", ties, get_args(Ties))):
            if value not in choice:
                raise InputError(f"{name}={value!r} of the task loss is unknown; choose from {', '.join(choice)}")
        self.kind: TargetKind = kind
        self.ties: Ties = ties

    def forward(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,).

        Args:
            output: output of the task head, (B, C), (B, T) or, for survival, (B, 1).
            targets: targets, as in :class:`~lightning_dc.batch.Batch`.
        """
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        counted = known_targets(targets, self.kind)
        if self.kind == "survival":
            losses = own_of_batch(supervised_losses(gather_batch(output), gather_batch(targets), self.kind, self.ties))
            counted &= targets[:, 1] == 1
        else:
            losses = supervised_losses(output, targets, self.kind)
        counts = sum_(torch.stack([torch.ones_like(counted), counted]).sum(1)).to(losses.dtype)
        return losses * (counts[0] / counts[1].clamp_min(1.0))
