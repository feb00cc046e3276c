"""The target distribution of DEC, kept up to date."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from lightning_dc.callbacks.access import clustering_module
from lightning_dc.errors import InputError
from lightning_dc.functional import size_statistics, target_distribution
from lightning_dc.training import (
    Assignments,
    ClusteringModule,
    FullAssignment,
    TargetDistribution,
    assign_all,
    record,
    training_loader,
)

_MOST_LOGGED_CLUSTERS = 50


class TargetDistributionRefresh(Callback):
    """Recomputes P from the soft assignments of the whole training set every n steps (DEC, section 3.1.2).

    At each refresh it also compares the hard assignments with those of the refresh before, and logs what it has seen:
    share of labels changed, entropy, cluster sizes, and ACC, NMI and ARI where there are labels.

    Target, assignments and the share of changes are kept in the checkpoint.

    Args:
        every_n_steps: optimizer steps between two refreshes.
        term: name of the loss term that needs the target; phases without it are left alone.
        keep_table: hold P for every sample (N x K numbers). False holds the cluster frequencies alone and computes the
            rows of P from current assignments.
    """

    def __init__(self, every_n_steps: int, term: str = "kl", keep_table: bool = True) -> None:
        if every_n_steps < 1:
            raise InputError(f"every_n_steps={every_n_steps} between two refreshes must be at least 1")
        self.every_n_steps = every_n_steps
        self.term = term
        self.keep_table = keep_table
        self._target: TargetDistribution | None = None
        self._assignments: Assignments | None = None
        self._served: list[int] | None = None  # phase and step of the last refresh

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._target = self._assignments = self._served = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        n_samples = training_loader(module).n_samples
        if self._assignments is not None and len(self._assignments.labels) != n_samples:
            raise InputError(
                f"ckpt_path names a run on {len(self._assignments.labels)} samples, but the training set has "
                f"{n_samples}; resume on the data that it began with"
            )
        if self._target is not None:
            table = self._target.table
            frequencies = self._target.frequencies.to(module.device)
            module.target = TargetDistribution(frequencies, None if table is None else table.to(module.device))
        if self._assignments is not None:
            module.assignments = self._assignments._replace(labels=self._assignments.labels.to(module.device))
        self._refresh_if_due(module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._refresh_if_due(clustering_module(pl_module), at_beginning=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._refresh_if_due(clustering_module(pl_module))

    def state_dict(self) -> dict[str, Any]:
        target, assignments = self._target, self._assignments
        return {
            "target": None if target is None else target._asdict(),
            "assignments": None if assignments is None else assignments._asdict(),
            "served": self._served,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        target, assignments = state_dict["target"], state_dict["assignments"]
        self._target = None if target is None else TargetDistribution(**target)
        self._assignments = None if assignments is None else Assignments(**assignments)
        self._served = state_dict["served"]

    def _refresh_if_due(self, module: ClusteringModule, *, at_beginning: bool = False) -> None:
        """Refresh where the step is a multiple of the interval and has not been served yet.

        The refresh at the first step of a phase waits for ``on_train_batch_start``, when the centroids are set; the
        others follow the step at once, so that a stop comes before further training.
        """
        if module.phases_over or self.term not in module.phase.config.loss_weights:
            return
        step, n_steps = module.progress
        due = step == 0 if at_beginning else 0 < step < n_steps
        now = [module.phase_index, module.global_step]
        if due and step % self.every_n_steps == 0 and self._served != now:
            self._refresh(module, is_first=step == 0)
            self._served = now

    @torch.no_grad()
    def _refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        full = assign_all(module, training_loader(module), keep_q=self.keep_table)
        table = None if full.q is None else target_distribution(full.q, full.frequencies)
        self._target = module.target = TargetDistribution(full.frequencies, table)
        before = self._assignments
        changed = None
        if before is not None and not is_first:
            differ = before.labels.to(full.labels.device) != full.labels
            changed = float(differ.sum()) / len(full.labels)
        self._assignments = module.assignments = Assignments(module.global_step, full.labels, changed)
        record(module, _figures(full, changed, module.head.n_clusters))


def _figures(full: FullAssignment, changed: float | None, n_clusters: int) -> dict[str, float]:
    sizes = torch.bincount(full.labels, minlength=n_clusters)
    figures = {"train/entropy": float(full.entropy)}
    if changed is not None:
        figures["train/labels_changed"] = changed
    figures |= {f"train/{name}": score for name, score in full.scores().items()}
    figures |= {f"clusters/{name}": value for name, value in size_statistics(sizes).items()}
    if n_clusters <= _MOST_LOGGED_CLUSTERS:
        figures |= {f"clusters/size_{k:02d}": float(size) for k, size in enumerate(sizes.tolist())}
    return figures
