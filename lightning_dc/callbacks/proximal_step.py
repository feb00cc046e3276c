"""Weights of inputs that are exactly zero."""

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
    """After each optimizer step, the proximal operator of the sparsity term acts on the input layer.

    A subgradient only lets weights hover around zero; the proximal operator sets whole groups to exactly zero. With
    plain SGD the two steps together are proximal gradient descent on loss + alpha * penalty: the operator's strength is
    the learning rate times alpha, the weight of the term at this step. Under Adam that strength is kept, as AdamW keeps
    its weight decay apart from the gradient: no group is shrunk less because its gradients were large. An Adam step
    moves a weight by at most (1 - beta1) / sqrt(1 - beta2) times the learning rate (Kingma and Ba 2015,
    https://arxiv.org/abs/1412.6980, section 2.1), 3.2 times with the usual betas, and by about the learning rate or
    less where gradients keep their size. So a group of n weights that is zero stays so, whatever the scale of the loss,
    where alpha times its factor is sqrt(n) times that bound or more (with ``l21``); sqrt(n) is enough as a rule.

    The strength of step t, counted from 1, has alpha after t steps; the penalty in the logged loss of that step has
    alpha after t - 1.

    It is level-triggered: a step that a run was killed in is completed when the run resumes. It must be the first of
    the callbacks that act on steps.

    Args:
        term: name of the :class:`~lightning_dc.losses.InputSparsity` term; phases without it are left alone.
        bound: largest absolute value of a weight of the input layer, by projection; None for no bound.

    Raises:
        InputError: a bound that is not positive.
    """

    def __init__(self, term: str = "sparsity", bound: float | None = None) -> None:
        if bound is not None and bound <= 0:
            raise InputError(f"bound={bound} of the input weights must be positive; null for none")
        self.term = term
        self.bound = bound
        self._served = 0  # global step

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._served = clustering_module(pl_module).global_step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._act(clustering_module(pl_module))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._act(clustering_module(pl_module))

    def state_dict(self) -> dict[str, Any]:
        return {"served": self._served}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._served = state_dict["served"]

    @torch.no_grad()
    def _act(self, module: ClusteringModule) -> None:
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
    optimizer = module.optimizers(use_pl_optimizer=False)
    assert isinstance(optimizer, torch.optim.Optimizer)
    for group in optimizer.param_groups:
        if any(parameter is weight for parameter in group["params"]):
            return float(group["lr"])
    raise AssertionError("a phase that trains the encoder has its input layer in the optimizer")
