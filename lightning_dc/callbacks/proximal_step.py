"""Proximal operator that makes the weights of dropped inputs exactly zero."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from lightning_dc.errors import InputError
from lightning_dc.functional import project_to_bound, proximal_step
from lightning_dc.losses import InputSparsity
from lightning_dc.training import ClusteringModule, clustering_module


class ProximalStep(Callback):
    """Callback that applies the proximal operator of the sparsity term to the input layer after each optimizer step.

    With a subgradient, weights only hover around zero; the proximal operator sets whole groups to exactly zero. With
    plain SGD, the two steps together are proximal gradient descent on loss + alpha * penalty: the operator's strength
    is the learning rate times alpha, the weight of the term at this step. With Adam the strength is the same, as AdamW
    separates its weight decay from the gradient, so no group is shrunk less because its gradients were large. An Adam
    step moves a weight by at most (1 - beta1) / sqrt(1 - beta2) times the learning rate (Kingma and Ba 2015,
    https://arxiv.org/abs/1412.6980, section 2.1), 3.2 times with the usual betas, and by about the learning rate or
    less if gradients keep their size. So with ``l21``, a group of n weights that is zero stays zero, whatever the scale
    of the loss, if alpha times its factor is at least sqrt(n) times that bound; as a rule, sqrt(n) is enough.

    The strength at step t, counted from 1, uses the schedule of alpha after t steps; the penalty in the logged loss of
    that step uses it after t - 1 steps.

    The callback compares the global step with that of its last operator: if a run is killed between an optimizer step
    and the operator, the operator is applied when the run resumes. It must be the first of the callbacks that act on
    steps.

    Args:
        term: name of the :class:`~lightning_dc.losses.InputSparsity` term; in phases without it, only the bound acts.
        bound: largest absolute value of a weight of the input layer, by projection; None for no bound.

    Raises:
        InputError: the bound is not positive.
    """

    def __init__(self, term: str = "sparsity", bound: float | None = None) -> None:
        if bound is not None and bound <= 0:
            raise InputError(f"bound={bound} of the input weights must be positive; null for none")
        self.term = term
        self.bound = bound
        self._served = 0  # global step at which the operator was last applied

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._served = clustering_module(pl_module).global_step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._shrink_once_a_step(clustering_module(pl_module))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._shrink_once_a_step(clustering_module(pl_module))

    def state_dict(self) -> dict[str, Any]:
        return {"served": self._served}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._served = state_dict["served"]

    @torch.no_grad()
    def _shrink_once_a_step(self, module: ClusteringModule) -> None:
        """Shrink and bound the weights of the input layer, unless that has been done at this step."""
        step = module.global_step
        if step == self._served or module.phases_over:
            return
        self._served = step
        if "encoder" not in module.phase.trainable:
            return
        weight = module.model.network.input_layer.weight
        alpha = module.phase.loss_weights(module.progress).get(self.term, 0.0)
        term = module.losses[self.term]
        assert isinstance(term, InputSparsity)
        if term.proximal and alpha > 0:
            strength = alpha * _learning_rate(module, weight)
            weight.copy_(proximal_step(weight, term.norm, term.groups, strength, term.group_weights))
        if self.bound is not None:
            weight.copy_(project_to_bound(weight, self.bound))


def _learning_rate(module: ClusteringModule, weight: torch.Tensor) -> float:
    """Return the learning rate of the parameter group that has a weight."""
    for group in module.optimizer.param_groups:
        if any(parameter is weight for parameter in group["params"]):
            return float(group["lr"])
    raise AssertionError("a phase that trains the encoder has its input layer in the optimizer")
