"""Scores of a supervised task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lightning_dc.batch import TargetSpec
from lightning_dc.distributed import max_
from lightning_dc.functional import Ties, known_targets, supervised_losses


class TaskScores(Metric):
    """Mean loss of all samples with a target and, for classes, the share of these samples that is predicted correctly.

    For survival times, risk sets contain the samples of all batches, and the loss is a mean over the events.

    Args:
        spec: kind and names of the targets.
        ties: treatment of events at the same time.
    """

    full_state_update = False
    outputs: list[Tensor]
    targets: list[Tensor]

    def __init__(self, spec: TargetSpec, ties: Ties = "efron", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.ties: Ties = ties
        self.add_state("outputs", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, output: Tensor, targets: Tensor) -> None:
        """Keep a batch of predictions, (B, n_outputs), and their targets as in :class:`~lightning_dc.batch.Batch`."""
        self.outputs.append(output.to(torch.promote_types(output.dtype, torch.float32)))
        self.targets.append(targets)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scores."""
        return ("task", "task_accuracy") if self.spec.kind == "class" else ("task",)

    @property
    def is_supervised(self) -> bool:
        """True if a batch with targets has been kept on any process."""
        return bool(max_(torch.tensor(float(len(self.outputs)), device=self.device)) > 0)

    def compute(self) -> dict[str, float]:
        """Return the ``task`` loss and, for classes, the ``task_accuracy``; they are NaN without any target."""
        output, targets = dim_zero_cat(self.outputs), dim_zero_cat(self.targets)
        known = known_targets(targets, self.spec.kind)
        n_counted = (known & (targets[:, 1] == 1)).sum() if self.spec.kind == "survival" else known.sum()
        scores = {"task": float(supervised_losses(output, targets, self.spec.kind, self.ties).sum() / n_counted)}
        if self.spec.kind == "class":
            scores["task_accuracy"] = float((output.argmax(1) == targets)[known].double().mean())
        return scores

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # A process without a batch (with more processes than batches) adds empty tensors of the types of the others.
        columns = (self.outputs, self.targets)
        is_double = [len(column) > 0 and column[0].dtype == torch.float64 for column in columns]
        double = max_(torch.tensor(is_double, dtype=torch.float32, device=self.device)) > 0
        if not self.outputs:
            floating = [torch.float64 if column else torch.float32 for column in double.tolist()]
            self.outputs = [torch.zeros(0, self.spec.n_outputs, dtype=floating[0], device=self.device)]
            is_class = self.spec.kind == "class"
            width = () if is_class else (len(self.spec.names),)
            dtype = torch.int64 if is_class else floating[1]
            self.targets = [torch.zeros(0, *width, dtype=dtype, device=self.device)]
        super()._sync_dist(*args, **kwargs)
