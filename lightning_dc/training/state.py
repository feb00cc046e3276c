"""State of a run, which a checkpoint keeps beside weights and optimizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_dc.functional import agreement_scores, contingency_table, target_distribution
from lightning_dc.training.loss_window import LossWindow


class TargetDistribution(NamedTuple):
    """Target distribution P of DEC, held for every sample or as the cluster frequencies alone.

    Attributes:
        frequencies: soft cluster frequencies of the whole training set, (K,), float64.
        table: P of each sample, (N, K), whose rows sum to 1; if None, rows are computed from the current assignments.
    """

    frequencies: Tensor
    table: Tensor | None

    def rows(self, index: Tensor, q: Tensor) -> Tensor:
        """Return P of a batch, (B, K), without a gradient.

        Args:
            index: place of each sample in the training set, (B,).
            q: current soft assignments of these samples, (B, K).
        """
        if self.table is None:
            return target_distribution(q.detach(), self.frequencies)
        return self.table[index]

    def to(self, device: torch.device) -> TargetDistribution:
        """Return a copy on a device."""
        return TargetDistribution(self.frequencies.to(device), None if self.table is None else self.table.to(device))


class Assignments(NamedTuple):
    """Hard assignments of the whole training set at a refresh.

    Attributes:
        step: global step of the refresh.
        labels: cluster of each sample, (N,), int32.
        changed: share of labels that differ from those of the previous refresh; None at the first one of a phase.
    """

    step: int
    labels: Tensor
    changed: float | None


class Neighbours(NamedTuple):
    """Nearest neighbours of each sample of the training set.

    Attributes:
        numbers: places of the neighbours in the training set, nearest first, (N, k), int32.
        similarity: similarity of each neighbour, in (0, 1], (N, k).
        changed: share of neighbours that are not among those of the table before; None for the first table.
    """

    numbers: Tensor
    similarity: Tensor
    changed: float | None

    def to(self, device: torch.device) -> Neighbours:
        """Return a copy on a device."""
        return self._replace(numbers=self.numbers.to(device), similarity=self.similarity.to(device))


class FullAssignment(NamedTuple):
    """Assignments of a whole data set by one state of the model.

    Attributes:
        frequencies: soft cluster frequencies, (K,), float64.
        entropy: mean entropy of the soft assignments, nats, ().
        labels: most likely cluster of each sample, (N,), int32.
        y: class of each sample, (N,), int64; None without labels.
        q: soft assignments, (N, K); None if they were not kept.
        z: embeddings, (N, D); None if they were not kept.
        targets: targets, as in :class:`~lightning_dc.batch.Batch`, (N,) or (N, T); None if the data have none.
        output: predictions of the task head, (N, n_outputs); None without a task head.
        is_soft: whether assignments are probabilities, as those of a soft head are.
    """

    frequencies: Tensor
    entropy: Tensor
    labels: Tensor
    y: Tensor | None
    q: Tensor | None
    z: Tensor | None
    targets: Tensor | None
    output: Tensor | None
    is_soft: bool

    def cpu(self) -> FullAssignment:
        """Return the tables in main memory."""
        tables: dict[str, Any] = {
            name: value.cpu() for name, value in self._asdict().items() if isinstance(value, Tensor)
        }
        return self._replace(**tables)

    def scores(self, labels: Tensor | None = None) -> dict[str, float]:
        """Return ACC, NMI and ARI; empty without a single known class.

        Args:
            labels: clusters to score, (N,); noise, -1, counts as one more cluster. None scores ``self.labels``.
        """
        if self.y is None or bool((self.y < 0).all()):
            return {}
        clusters = self.labels if labels is None else labels.to(self.y.device)
        n_clusters = max(len(self.frequencies), int(clusters.max()) + 1)
        clusters = torch.where(clusters < 0, n_clusters, clusters)
        table = contingency_table(clusters, self.y, n_clusters + 1, int(self.y.max()) + 1)
        return agreement_scores(table.cpu().numpy())


@dataclass
class RunState:
    """State of a run that is the same on all processes.

    Attributes:
        seed: seed of all random numbers in training, which ``seed_everything`` was given.
        phase_index: number of the current phase; the number of phases when all are over.
        phase_start_step: global step at which the current phase began.
        seconds: wall-clock seconds spent in each phase, by name.
        target_distribution: P; None where no loss has needed it yet.
        assignments: assignments of the training set at the latest refresh; None before the first one.
        neighbours: nearest neighbours of the training samples; None where no loss has needed them yet.
        centroids_set_at: global step at which k-means or the repair of empty clusters last moved centroids; -1 before.
        loss_window: losses by which a phase with a plateau rule ends.
    """

    seed: int
    phase_index: int = 0
    phase_start_step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    target_distribution: TargetDistribution | None = None
    assignments: Assignments | None = None
    neighbours: Neighbours | None = None
    centroids_set_at: int = -1
    loss_window: LossWindow = field(default_factory=LossWindow)

    def begin_next_phase(self, step: int) -> None:
        """Go on to the next phase, which begins at this global step."""
        self.phase_index += 1
        self.phase_start_step = step
        self.loss_window = LossWindow()

    def to_dict(self) -> dict[str, Any]:
        """Return the state as tensors and Python primitives."""
        tables = {
            name: value._asdict()
            for name, value in vars(self).items()
            if isinstance(value, (TargetDistribution, Assignments, Neighbours, LossWindow))
        }
        return {**vars(self), "seconds": dict(self.seconds), **tables}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunState:
        """Return the state from the result of :meth:`to_dict`."""
        kinds = {
            "target_distribution": TargetDistribution,
            "assignments": Assignments,
            "neighbours": Neighbours,
            "loss_window": LossWindow,
        }
        tables = {name: kind(**values[name]) for name, kind in kinds.items() if values.get(name) is not None}
        return cls(**{**values, **tables})

    def move_to(self, device: torch.device) -> None:
        """Move the tables to a device."""
        self.loss_window = self.loss_window.to(device)
        if self.target_distribution is not None:
            self.target_distribution = self.target_distribution.to(device)
        if self.neighbours is not None:
            self.neighbours = self.neighbours.to(device)
        if self.assignments is not None:
            self.assignments = self.assignments._replace(labels=self.assignments.labels.to(device))
